"""Thermal pictures for the thermal tower: one channel from 0 to 1.

The original ships no loader for thermal pictures; docs/preprocessing.md says what is known and what is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.geometry import middle, resized_shape, without_strip_ends
from imagebind_node.samples import ThermalSample

# PyTorch is imported where it is used: the encoder node needs the names here before it may take seconds to load.
if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ThermalParameters:
    """ImageBind trained on LLVIP (Jia et al. 2021): 8-bit pictures whose grey the camera had stretched over the
    scene, warm is bright. `percentiles` imitates that stretch for radiometric data; mean 0 and deviation 1 leave
    [0, 1] as it is, which is what reproduced the paper's accuracy best in public trials.

    min_span: smallest stretch, in counts (uint16) or kelvin (float), so that noise of a uniform scene stays flat.
    """

    size: int = 224
    percentiles: tuple[float, float] = (1.0, 99.0)
    min_span: float = 1.0
    mean: float = 0.0
    std: float = 1.0


THERMAL = ThermalParameters()


RANGE_MODES = ("auto", "window", "radiometric", "percentiles")


@dataclass(frozen=True)
class ThermalRange:
    """What becomes black and white: `low` and `high` of raw values (window), degrees Celsius (radiometric) or
    percent of the pixels (percentiles); auto leaves the choice to the model."""

    mode: str = "auto"
    low: float = 0.0
    high: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in RANGE_MODES:
            raise InvalidInputError(f"thermal range {self.mode!r} is not one of {', '.join(RANGE_MODES)}")
        if self.mode != "auto":
            low, high = _ordered(f"thermal range ({self.mode})", (self.low, self.high))
            if self.mode == "percentiles" and not 0 <= low < high <= 100:
                raise InvalidInputError(f"percentiles must lie from 0 to 100, got {low} and {high}")

    def choice(self) -> dict[str, Any]:
        """Keyword arguments for `window_of` and `preprocess_thermal`."""
        return {} if self.mode == "auto" else {self.mode: (self.low, self.high)}


def window_of(
    sample: ThermalSample,
    window: tuple[float, float] | None = None,
    radiometric: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    parameters: ThermalParameters = THERMAL,
) -> tuple[float, float]:
    """Raw values (low, high) that become 0 and 1; see preprocess_thermal for the choice. Raises InvalidInputError."""
    if sum(choice is not None for choice in (window, radiometric, percentiles)) > 1:
        raise InvalidInputError("give only one of window, radiometric and percentiles")
    if radiometric is not None:
        return _radiometric_window(sample, radiometric)
    if window is not None:
        return _ordered("window", window)
    if percentiles is None:
        if sample.data.dtype == np.uint8:
            return 0.0, 255.0
        percentiles = parameters.percentiles
    low, high = _ordered("percentiles", percentiles)
    if low < 0 or high > 100:
        raise InvalidInputError(f"percentiles must lie from 0 to 100, got {percentiles}")
    finite = sample.data[np.isfinite(sample.data)]
    if finite.size == 0:
        raise InvalidInputError("thermal image holds no measurement (all NaN or infinite): check the sensor")
    bottom, top = (float(value) for value in np.percentile(finite, (low, high)))
    if top - bottom < parameters.min_span:
        middle = (top + bottom) / 2
        return middle - parameters.min_span / 2, middle + parameters.min_span / 2
    return bottom, top


def _radiometric_window(sample: ThermalSample, celsius: tuple[float, float]) -> tuple[float, float]:
    """Degrees Celsius -> raw values: float data is kelvin, uint16 centikelvin (the Lepton and Boson convention)."""
    low, high = _ordered("radiometric", celsius)
    if sample.data.dtype == np.uint8:
        raise InvalidInputError("an 8-bit thermal picture holds no temperatures: use window or percentiles")
    per_kelvin = 100.0 if sample.data.dtype == np.uint16 else 1.0
    return (low + 273.15) * per_kelvin, (high + 273.15) * per_kelvin


def _ordered(name: str, pair: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(value) for value in pair)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InvalidInputError(f"{name} must be two numbers, low below high, got {pair}")
    return low, high


def preprocess_thermal(
    sample: ThermalSample,
    *,
    window: tuple[float, float] | None = None,
    radiometric: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    parameters: ThermalParameters = THERMAL,
) -> torch.Tensor:
    """ThermalSample -> float32 (1, 224, 224) in [0, 1]: short side to 224 (anti-aliased bicubic), centre crop.

    What becomes 0 and 1: `window` (raw values), or `radiometric` (degrees Celsius; float data is kelvin, uint16
    centikelvin), or `percentiles` of the picture. Without a choice: 8-bit 0 to 255, otherwise percentiles 1 to 99.
    NaN (dead pixels) takes the picture's median. Raises InvalidInputError on a bad choice or no measurement.
    """
    low, high = window_of(sample, window, radiometric, percentiles, parameters)
    values = np.ascontiguousarray(without_strip_ends(sample.data, *sample.data.shape)).astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise InvalidInputError("thermal image holds no measurement (all NaN or infinite): check the sensor")
    if not finite.all():
        values = np.where(finite, values, np.float32(np.median(values[finite])))
    import torch

    scaled = torch.from_numpy(np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0))
    square = _square(scaled, parameters.size).clamp_(0.0, 1.0)
    return square[None].sub_(parameters.mean).div_(parameters.std)


def _square(values: torch.Tensor, size: int) -> torch.Tensor:
    from torch.nn.functional import interpolate

    shape = resized_shape(values.shape[0], values.shape[1], size)
    resized = interpolate(values[None, None], size=shape, mode="bicubic", align_corners=False, antialias=True)
    return resized[0, 0][middle(shape, size)].contiguous()


def check_thermal(sample: ThermalSample) -> list[str]:
    """Warnings about a thermal picture that the thermal tower was not trained on; empty if fine."""
    data = sample.data
    finite = data[np.isfinite(data)].astype(np.float64)
    if finite.size == 0:
        return ["thermal image holds no measurement (all NaN or infinite): check the sensor"]
    warnings = []
    if finite.size < 0.99 * data.size:
        warnings.append(f"thermal image has {100 * (1 - finite.size / data.size):.0f} % dead pixels")
    low, high = np.percentile(finite, THERMAL.percentiles)
    span, unit = high - low, {"uint8": "grey levels", "uint16": "counts", "float32": "K"}[data.dtype.name]
    smallest = {"uint8": 8.0, "uint16": 50.0, "float32": 0.5}[data.dtype.name]
    if span < smallest:
        warnings.append(f"thermal image is flat (span {span:.3g} {unit}): shutter closed or a uniform scene?")
    middle = float(np.median(finite))
    if data.dtype == np.float32 and not 200.0 < middle < 700.0:
        likely = "degrees Celsius?" if -40 <= middle <= 150 else "raw counts?"
        warnings.append(
            f"thermal image has median {middle:.1f}, expected kelvin: {likely} (windows adapt, names not)"
        )
    if data.dtype == np.uint8 and ((data == 0).mean() > 0.5 or (data == 255).mean() > 0.5):
        warnings.append("thermal image is saturated over half its area: adjust the camera's range")
    return warnings
