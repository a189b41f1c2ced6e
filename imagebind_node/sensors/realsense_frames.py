"""Frames of the RealSense SDK as arrays and camera models."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from imagebind_node.errors import DeviceError
from imagebind_node.sensors.camera_model import CameraModel

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "y8": cv2.COLOR_GRAY2RGB,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}


def rgb(frame: Any) -> np.ndarray:
    """Colour frame -> uint8 (H, W, 3) RGB, a copy. Raises DeviceError for a format that is no picture here."""
    name = frame.get_profile().format().name
    data = np.asanyarray(frame.get_data())
    if name == "rgb8":
        return data.copy()
    if name not in _TO_RGB:
        raise DeviceError(f"RealSense colour as {name} is not supported: use rgb8, {', '.join(_TO_RGB)}")
    if name == "yuyv":
        data = data.view(np.uint8).reshape(*data.shape[:2], 2)
    return cv2.cvtColor(data, _TO_RGB[name])


def metres(frame: Any) -> np.ndarray:
    """Depth frame (uint16, units of the camera) -> float32 (H, W) metres, NaN = no measurement."""
    raw = np.asanyarray(frame.get_data())
    data = raw.astype(np.float32) * np.float32(frame.get_units())
    data[raw == 0] = np.nan
    return data


def camera_model(frame: Any, baseline: float) -> CameraModel:
    """Geometry of the camera that took a frame; baseline: metres.

    The SDK's Brown-Conrady models have the coefficients of plumb_bob, Kannala-Brandt those of equidistant.
    """
    own = frame.get_profile().as_video_stream_profile().intrinsics
    fisheye = own.model.name == "kannala_brandt4"
    return CameraModel(
        own.width,
        own.height,
        own.fx,
        own.fy,
        own.ppx,
        own.ppy,
        "equidistant" if fisheye else "plumb_bob",
        tuple(own.coeffs[: 4 if fisheye else 5]),
        baseline,
    )
