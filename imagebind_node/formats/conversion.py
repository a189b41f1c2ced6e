"""Arrays as people hold them, made into validated samples; each raises InvalidInputError."""

from __future__ import annotations

from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.inertial import split_table
from imagebind_node.samples import AudioSample, DepthSample, ImageSample, ImuSample, ThermalSample


def image_sample(value: Any) -> ImageSample:
    """uint8 (H, W, 3) RGB, (H, W) or (H, W, 1) grey, (H, W, 4) RGBA (composited over white) or a PIL picture."""
    from PIL import Image

    from imagebind_node.formats.pictures import to_rgb

    if isinstance(value, Image.Image):
        return ImageSample(to_rgb(value))
    array = _single_channel(_array(value, "image"))
    if array.dtype == np.uint8 and array.size and (array.ndim == 2 or array.shape[2:] == (4,)):
        return ImageSample(to_rgb(Image.fromarray(array)))
    if array.ndim == 4:
        raise InvalidInputError("a video array needs frame times: pass VideoSample(data, times)")
    return ImageSample(array)


def audio_sample(value: Any) -> AudioSample:
    """(data, sample_rate): float, signed integer or unsigned 8-bit PCM, (N,) or (N, channels)."""
    wanted = "audio must be an AudioSample, a path or a pair (data, sample_rate)"
    if not isinstance(value, tuple) or len(value) != 2:
        raise InvalidInputError(f"{wanted}, got {type(value).__name__}")
    data, rate = value
    if (
        not isinstance(data, np.ndarray)
        or not isinstance(rate, (int, float, np.integer))
        or not float(rate).is_integer()
    ):
        raise InvalidInputError(f"{wanted}, got ({type(data).__name__}, {type(rate).__name__})")
    return AudioSample(_pcm_to_float(data), int(rate))


def _pcm_to_float(data: np.ndarray) -> np.ndarray:
    if data.dtype == np.uint8:
        return (data.astype(np.float32) - 128.0) / 128.0
    if data.dtype.kind == "i":
        return (data / float(-np.iinfo(data.dtype).min)).astype(np.float32)
    return data.astype(np.float32, copy=False) if data.dtype.kind == "f" else data


def depth_sample(value: Any, focal_px: float | None = None, baseline_m: float | None = None) -> DepthSample:
    """Float (H, W) metres or integer (H, W) millimetres, where 0 and below mean no measurement (REP-118)."""
    array = _single_channel(_array(value, "depth image"))
    if array.dtype.kind in "iu":
        metres = array.astype(np.float32) * np.float32(0.001)
        metres[array <= 0] = np.nan
        return DepthSample(metres, focal_px, baseline_m)
    with np.errstate(over="ignore"):
        return DepthSample(array.astype(np.float32, copy=False), focal_px, baseline_m)


def thermal_sample(value: Any) -> ThermalSample:
    """uint8, uint16 or float (H, W) or (H, W, 1), values as they are."""
    array = _single_channel(_array(value, "thermal image"))
    return ThermalSample(array.astype(np.float32) if array.dtype.kind == "f" else array)


def imu_sample(value: Any) -> ImuSample:
    """(N, 7) table t,ax,ay,az,gx,gy,gz, or (data (N, 6), times (N,)), in SI units."""
    if isinstance(value, tuple) and len(value) == 2:
        data, times = (np.asarray(part) for part in value)
        if data.dtype.kind not in "fiu" or times.dtype.kind not in "fiu":
            raise InvalidInputError("IMU data and times must be numbers")
        return ImuSample(data.astype(np.float32), times.astype(np.float64))
    return ImuSample(*split_table(_array(value, "IMU data")))


def _array(value: Any, what: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise InvalidInputError(f"{what} must be a sample, a numeric numpy array or a path, got {got}")
    return value


def _single_channel(array: np.ndarray) -> np.ndarray:
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
