"""A detection as the view shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """box: x0, y0, x1, y1 in pixels of the picture; score: 0 to 1; track: id, empty for none."""

    box: tuple[float, float, float, float]
    label: str
    score: float
    track: str = ""
