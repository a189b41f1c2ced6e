"""Depth pictures for the depth tower: metres to normalised disparity.

The original ships no loader for depth; docs/preprocessing.md says what is known and what is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.geometry import middle, resized_shape, without_strip_ends
from imagebind_node.samples import DepthSample


@dataclass(frozen=True)
class DepthParameters:
    """Sources: disparity = baseline * focal / depth with the baselines of SUN RGB-D's sensors, as Omnivore
    (Girdhar et al. 2022) feeds it; clamp, mean and deviation from ImageBind's training recipe (design.md, 5).

    focal_per_width: focal length in pixels per pixel of width, where neither sample nor caller gives one
    (Kinect v1: 518.9 / 640, 63 degrees across); baseline_m: likewise (Kinect v1 and v2: 0.075 m; RealSense and
    Xtion: 0.095 m); depth_factor multiplies the metres first: 8 imitates SUN RGB-D's files read without undoing
    their bit rotation, which would explain the published mean (docs/preprocessing.md).
    """

    size: int = 224
    focal_per_width: float = 0.8107
    baseline_m: float = 0.075
    max_disparity: float = 75.0
    mean: float = 0.0418
    std: float = 0.0295
    min_depth_m: float = 0.01
    depth_factor: float = 1.0


DEPTH = DepthParameters()


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0.0):
        raise InvalidInputError(f"{name} must be above 0, got {value}: check camera_info or the parameter")
    return float(value)


def optics(
    sample: DepthSample,
    focal_px: float | None = None,
    baseline_m: float | None = None,
    parameters: DepthParameters = DEPTH,
) -> tuple[float, float]:
    """Focal length (pixels) and baseline (metres) to use: the argument, else the sample's, else the default's."""
    width = sample.data.shape[1]
    focal = focal_px if focal_px is not None else sample.focal_px
    baseline = baseline_m if baseline_m is not None else sample.baseline_m
    return (
        _positive("focal_px", parameters.focal_per_width * width if focal is None else focal),
        _positive("baseline_m", parameters.baseline_m if baseline is None else baseline),
    )


def disparity(depth: np.ndarray, focal_times_baseline: float, min_depth_m: float) -> np.ndarray:
    """Depth float32 (H, W) metres -> disparity float32 (H, W) pixels, NaN where nothing was measured.

    Zero, negative and NaN mean no measurement. +inf (REP-117: too far to measure) becomes disparity 0, -inf
    (too close) the disparity of `min_depth_m`.
    """
    depth = np.where(np.isneginf(depth), np.float32(min_depth_m), depth)
    measured = depth > 0
    near = np.maximum(depth, np.float32(min_depth_m))
    with np.errstate(invalid="ignore"):
        return np.where(measured, np.float32(focal_times_baseline) / near, np.float32(np.nan))


def preprocess_depth(
    sample: DepthSample,
    *,
    focal_px: float | None = None,
    baseline_m: float | None = None,
    max_disparity: float = DEPTH.max_disparity,
    parameters: DepthParameters = DEPTH,
) -> torch.Tensor:
    """DepthSample -> float32 (1, 224, 224): disparity clamped to `max_disparity` (pixels), scaled and normalised.

    focal_px, baseline_m: override the sample's; `optics` gives the defaults. Short side to 224, centre crop, as
    for colour, with anti-aliased bilinear weights over the measured pixels only: a hole takes the mean of what
    was measured around it, and where nothing near was measured, disparity 0 (far). Raises InvalidInputError if
    no pixel holds a measurement or a parameter is not above 0.
    """
    focal, baseline = optics(sample, focal_px, baseline_m, parameters)
    limit = _positive("max_disparity", max_disparity)
    pixels = disparity(sample.data, focal * baseline / parameters.depth_factor, parameters.min_depth_m)
    if np.isnan(pixels).all():
        raise InvalidInputError(
            "depth image holds no measurement (all NaN or 0): check the sensor and its range"
        )
    scaled = torch.from_numpy(np.minimum(pixels, np.float32(limit)) / np.float32(limit))
    return _masked_square(scaled, parameters.size)[None].sub_(parameters.mean).div_(parameters.std)


def _masked_square(values: torch.Tensor, size: int) -> torch.Tensor:
    """(H, W), NaN = hole -> (size, size): short side to `size` and centre crop, averaging over what is no hole."""
    values = without_strip_ends(values, values.shape[0], values.shape[1])
    known = (~values.isnan()).to(torch.float32)
    shape = resized_shape(values.shape[0], values.shape[1], size)
    stacked = torch.stack([values.nan_to_num(0.0), known])[None]
    resized = interpolate(stacked, size=shape, mode="bilinear", align_corners=False, antialias=True)[0]
    rows, columns = middle(shape, size)
    total, weight = resized[:, rows, columns]
    return torch.where(weight > 1e-3, total / weight.clamp_min(1e-3), torch.zeros_like(total))


def check_depth(sample: DepthSample) -> list[str]:
    """Warnings about a depth picture that the depth tower was not trained on; empty if fine."""
    data = sample.data
    measured = data[np.isfinite(data) & (data > 0)]
    share = measured.size / data.size
    if measured.size == 0:
        return ["depth image holds no measurement (all NaN, infinite or 0): check the sensor and its range"]
    warnings = []
    if share < 0.5:
        warnings.append(
            f"depth image is {100 * (1 - share):.0f} % holes: they are filled from around or as far"
        )
    if (data < 0).any():
        warnings.append("depth image holds negative values: they count as holes")
    middle = float(np.median(measured))
    if middle > 100.0:
        warnings.append(f"median depth is {middle:.0f} m: millimetres given as metres? divide by 1000")
    elif middle > 15.0:
        warnings.append(f"median depth is {middle:.1f} m: the model knows rooms, up to about 10 m")
    elif middle < 0.1:
        warnings.append(f"median depth is {middle:.3f} m: is it in metres, and not a normalised picture?")
    if measured.size > 100 and np.ptp(measured) < 1e-3 * middle:
        warnings.append(f"depth image is flat ({middle:.2f} m everywhere): a blocked sensor?")
    if sample.focal_px is None:
        warnings.append("focal length unknown (no camera_info): a Kinect's field of view is assumed")
    return warnings
