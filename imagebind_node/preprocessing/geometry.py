"""Short side to a fixed size, middle cut out: the framing that all picture towers share."""

from __future__ import annotations

from typing import TypeVar

MAX_ASPECT = 32
"""Pictures longer than this times their short side are cut to their middle, since memory grows with the aspect."""

Array = TypeVar("Array")


def resized_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) after scaling the short side to `size`; the long side is rounded down, as torchvision does."""
    if width <= height:
        return int(size * height / width), size
    return size, int(size * width / height)


def middle(shape: tuple[int, int], size: int) -> tuple[slice, slice]:
    """Rows and columns of the centre crop of a (height, width) picture, rounded half to even as torchvision does."""
    top, left = (round((side - size) / 2.0) for side in shape)
    return slice(top, top + size), slice(left, left + size)


def without_strip_ends(data: Array, height: int, width: int) -> Array:
    """The middle of a (height, width, ...) array or tensor that is longer than MAX_ASPECT times its short side."""
    longest = MAX_ASPECT * min(height, width)
    top, left = max(0, (height - longest) // 2), max(0, (width - longest) // 2)
    return data[top : top + longest, left : left + longest]  # type: ignore[index]
