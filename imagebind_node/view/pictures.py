"""Pictures made small for the way to the viewer."""

from __future__ import annotations

import cv2
import numpy as np

_JPEG_QUALITY = 80
_HEAT_ALPHA = 0.6


def shrink(picture: np.ndarray, side: int, nearest: bool = False) -> tuple[np.ndarray, float]:
    """Scale down so that no side is longer than `side` pixels; returns the picture and the factor (at most 1).

    nearest: take pixels as they are, for depth, where the mean of two things lies in the air.
    """
    factor = min(1.0, side / max(picture.shape[:2]))
    if factor == 1.0:
        return picture, 1.0
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=how), factor


def jpeg(picture: np.ndarray) -> bytes:
    """uint8 (H, W, 3) RGB -> JPEG."""
    swapped = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def heat_png(heat: np.ndarray, side: int) -> bytes:
    """float (H, W) -> PNG with the upper half of the range coloured, the rest see-through; NaN is cold."""
    heat, _ = shrink(np.nan_to_num(heat.astype(np.float32), nan=-1.0, posinf=1.0, neginf=-1.0), side)
    low, high = float(np.median(heat)), float(heat.max())
    level = np.clip((heat - low) / (high - low), 0, 1) if high > low else np.zeros_like(heat)
    colour = cv2.applyColorMap(np.uint8(level * 255), cv2.COLORMAP_INFERNO)
    # Few steps: a map this smooth then takes a tenth of the bytes.
    alpha = np.uint8(np.round(level * 16) / 16 * 255 * _HEAT_ALPHA)
    return cv2.imencode(".png", np.dstack([colour, alpha]))[1].tobytes()


def millimetres(metres: np.ndarray) -> np.ndarray:
    """float32 (H, W) metres, NaN for no measurement -> uint16 millimetres, 0 for none."""
    scaled = np.nan_to_num(metres, nan=0.0, posinf=0.0, neginf=0.0) * 1000
    return np.where((scaled > 0) & (scaled <= 65535), scaled, 0).astype(np.uint16)


def thermal_range(values: np.ndarray) -> tuple[float, float]:
    """What becomes black and white: percentiles 1 and 99 of the finite values, never equal."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (1, 99)))
    return low, max(high, low + 1e-3)
