"""Pictures of any kind to the uint8 RGB squares that the image tower reads."""

from __future__ import annotations

import cv2
import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import DepthSample, ThermalSample

PERCENTILES = (2.0, 98.0)


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (side, side, 3), the whole picture, squeezed. Extreme shapes are refused."""
    height, width = pixels.shape[:2]
    if height == side and width == side:
        return pixels
    # INTER_AREA averages when shrinking: no aliasing, which a plain bicubic of large frames would have.
    shrink = height >= side and width >= side
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)


def stretched_grey(values: np.ndarray) -> np.ndarray:
    """Measurements (H, W), NaN where there are none -> uint8 (H, W, 3): 2nd to 98th percentile over 0 to 255."""
    valid = np.isfinite(values)
    if not valid.any():
        raise InvalidInputError("no valid pixel (all NaN or infinite): check the sensor's range")
    low, high = np.percentile(values[valid], PERCENTILES)
    if high <= low:
        return np.full((*values.shape, 3), 127, np.uint8)
    grey = (np.clip(values.astype(np.float32), low, high) - low) * (255.0 / (high - low))
    return np.repeat(np.where(valid, grey, 0.0).astype(np.uint8)[..., None], 3, 2)


def depth_picture(sample: DepthSample) -> np.ndarray:
    """Depth as grey, near is bright (inverse depth); no measurement is black."""
    with np.errstate(divide="ignore"):
        inverse = np.where(sample.data > 0, 1.0 / sample.data, np.nan)
    return stretched_grey(inverse)


def thermal_picture(sample: ThermalSample) -> np.ndarray:
    """Temperature as grey, warm is bright."""
    return stretched_grey(sample.data.astype(np.float32))
