"""The geometry of a camera, as its driver knows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraModel:
    """Pinhole camera with distortion. Lengths in pixels, but `baseline_m` in metres: of the stereo pair, 0 if none.

    distortion_model: plumb_bob (5 coefficients) or equidistant (4), the names of REP-104. rectification (9 numbers) and
    projection (12) are rows of the matrices R and P of CameraInfo; None: no rotation, and K with the baseline.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = "plumb_bob"
    distortion: tuple[float, ...] = (0.0,) * 5
    baseline_m: float = 0.0
    rectification: tuple[float, ...] | None = None
    projection: tuple[float, ...] | None = None
