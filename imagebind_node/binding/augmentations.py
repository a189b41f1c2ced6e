"""Random changes of a tower's input during training, by name, from a recipe's `augmentations` section.

    @register_augmentation("my_change")
    def my_change(strength: float = 1.0) -> Change: ...

A change maps (input without batch dimension, torch.Generator) to an input of the same shape. It draws from that
generator only: its seed is that of the draw, so that the same step sees the same data however it came to be run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from imagebind_node.binding.plugins import Registry
from imagebind_node.errors import InvalidInputError

Change = Callable[[Tensor, Generator], Tensor]
_changes: Registry[Callable[..., Change]] = Registry("augmentation")
register_augmentation = _changes.register


def build_augmentation(sections: Iterable[Mapping[str, Any]]) -> Change | None:
    """All changes of a recipe as one, None if there is none. Raises InvalidInputError for unknown names or options."""
    changes = []
    for section in sections:
        options = dict(section)
        name = options.pop("name", "")
        try:
            changes.append(_changes.get(str(name))(**options))
        except TypeError as error:
            raise InvalidInputError(f"augmentation {name!r}: {error}") from error
    if not changes:
        return None

    def change(sample: Tensor, generator: Generator) -> Tensor:
        for one in changes:
            sample = one(sample, generator)
        return sample

    return change


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _below(generator: Generator, bound: int) -> int:
    return int(torch.randint(max(1, bound), (), generator=generator))


@register_augmentation("frequency_mask")
def frequency_mask(width: int = 12, value: float = 0.0) -> Change:
    """Spectrogram (..., bins, frames): up to `width` bins in a row become `value` (SpecAugment, Park et al. 2019)."""

    def change(sample: Tensor, generator: Generator) -> Tensor:
        count = _below(generator, width + 1)
        start = _below(generator, sample.shape[-2] - count + 1)
        sample = sample.clone()
        sample[..., start : start + count, :] = value
        return sample

    return change


@register_augmentation("time_mask")
def time_mask(width: int = 24, value: float = 0.0) -> Change:
    """Signal (..., T): up to `width` neighbouring steps become `value` (SpecAugment)."""

    def change(sample: Tensor, generator: Generator) -> Tensor:
        count = _below(generator, width + 1)
        start = _below(generator, sample.shape[-1] - count + 1)
        sample = sample.clone()
        sample[..., start : start + count] = value
        return sample

    return change


@register_augmentation("time_shift")
def time_shift(share: float = 0.5) -> Change:
    """Signal (..., T): rolled by up to `share` of its length either way."""

    def change(sample: Tensor, generator: Generator) -> Tensor:
        reach = int(share * sample.shape[-1])
        return sample.roll(_below(generator, 2 * reach + 1) - reach, -1)

    return change


@register_augmentation("resized_crop")
def resized_crop(
    scale: tuple[float, float] = (0.5, 1.0), ratio: tuple[float, float] = (0.75, 4 / 3)
) -> Change:
    """Picture (C, H, W): a random part of `scale` of the area and aspect `ratio`, stretched to the whole (bilinear)."""

    def change(sample: Tensor, generator: Generator) -> Tensor:
        height, width = sample.shape[-2:]
        area = _uniform(generator, *scale) * height * width
        aspect = _uniform(generator, *ratio)
        rows = min(height, max(1, round((area / aspect) ** 0.5)))
        columns = min(width, max(1, round((area * aspect) ** 0.5)))
        top, left = _below(generator, height - rows + 1), _below(generator, width - columns + 1)
        part = sample[None, ..., top : top + rows, left : left + columns]
        return interpolate(part, size=(height, width), mode="bilinear", align_corners=False, antialias=True)[
            0
        ]

    return change


@register_augmentation("horizontal_flip")
def horizontal_flip(probability: float = 0.5) -> Change:
    """Picture (..., W): mirrored."""
    return lambda sample, generator: sample.flip(-1) if _uniform(generator, 0, 1) < probability else sample


@register_augmentation("erase")
def erase(probability: float = 0.25, scale: tuple[float, float] = (0.02, 0.33), value: float = 0.0) -> Change:
    """Picture (..., H, W): a rectangle of `scale` of the area becomes `value` (Random Erasing, Zhong et al. 2020)."""

    def change(sample: Tensor, generator: Generator) -> Tensor:
        if _uniform(generator, 0, 1) >= probability:
            return sample
        height, width = sample.shape[-2:]
        area = _uniform(generator, *scale) * height * width
        aspect = _uniform(generator, 0.3, 1 / 0.3)
        rows, columns = min(height, round((area / aspect) ** 0.5)), min(width, round((area * aspect) ** 0.5))
        top, left = _below(generator, height - rows + 1), _below(generator, width - columns + 1)
        sample = sample.clone()
        sample[..., top : top + rows, left : left + columns] = value
        return sample

    return change


@register_augmentation("noise")
def noise(deviation: float = 0.05) -> Change:
    """Any input: Gaussian noise, in the units of the input."""
    return lambda sample, generator: (
        sample + deviation * torch.randn(sample.shape, generator=generator).to(sample)
    )


@register_augmentation("gain")
def gain(low: float = 0.8, high: float = 1.25) -> Change:
    """Any input: multiplied by a factor from `low` to `high`."""
    return lambda sample, generator: sample * _uniform(generator, low, high)


@register_augmentation("shift")
def shift(low: float = -0.2, high: float = 0.2) -> Change:
    """Any input: a constant from `low` to `high` added (loudness of a log spectrogram, brightness of a picture)."""
    return lambda sample, generator: sample + _uniform(generator, low, high)
