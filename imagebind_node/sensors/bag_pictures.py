"""Image messages of a bag -> samples, by the encodings of sensor_msgs/image_encodings.hpp."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import DepthSample, ImageSample, ThermalSample

IMAGE = "sensor_msgs/msg/Image"
IMAGES = (IMAGE, "sensor_msgs/msg/CompressedImage")
_LAYOUTS = {
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "rgba8": ("u1", 4),
    "bgra8": ("u1", 4),
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "8UC3": ("u1", 3),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}


def picture(message: Any, topic: str, *, compressed: bool) -> ImageSample | DepthSample | ThermalSample:
    """A picture, depth or thermal sample.

    Thermal if the topic's name says so; otherwise depth for 16UC1 (millimetres, 0 = no measurement) and 32FC1
    (metres). Raises InvalidInputError for other encodings and for damaged data.
    """
    stamp = int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)
    place = {"stamp": stamp, "frame_id": message.header.frame_id}
    if compressed:
        if "depth" in topic.lower() or "thermal" in topic.lower():
            raise InvalidInputError(f"{topic}: compressed depth and thermal pictures are not read from bags")
        try:
            data = np.array(Image.open(BytesIO(bytes(message.data))).convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InvalidInputError(f"{topic}: compressed picture is damaged: {error}") from error
        return ImageSample(data, **place)
    data = _pixels(message, topic)
    if "thermal" in topic.lower():
        if data.ndim == 3:
            raise InvalidInputError(f"{topic}: a thermal picture has one channel, got {message.encoding}")
        return ThermalSample(data, **place)
    if data.dtype == np.float32:
        return DepthSample(np.where(data > 0, data, np.nan), **place)
    if data.dtype == np.uint16:
        if message.encoding == "mono16":
            return ImageSample(np.repeat((data >> 8).astype(np.uint8)[..., None], 3, 2), **place)
        return DepthSample(
            np.where(data > 0, data.astype(np.float32) / 1000, np.nan).astype(np.float32), **place
        )
    if data.ndim == 2:
        data = np.repeat(data[..., None], 3, 2)
    elif message.encoding in ("bgr8", "bgra8", "8UC3"):
        data = data[..., 2::-1]
    return ImageSample(np.ascontiguousarray(data[..., :3]), **place)


def _pixels(message: Any, topic: str) -> np.ndarray:
    if message.encoding not in _LAYOUTS:
        known = ", ".join(_LAYOUTS)
        raise InvalidInputError(f"{topic}: unknown encoding {message.encoding!r}, use one of {known}")
    kind, channels = _LAYOUTS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    width, height, step = int(message.width), int(message.height), int(message.step)
    row = width * channels * dtype.itemsize
    raw = np.asarray(message.data, np.uint8)
    if step < row or len(raw) < step * height or height == 0 or width == 0:
        raise InvalidInputError(f"{topic}: {width}x{height} {message.encoding} does not fit {len(raw)} bytes")
    rows = np.ascontiguousarray(raw[: step * height].reshape(height, step)[:, :row])
    shape = (height, width) if channels == 1 else (height, width, channels)
    return rows.view(dtype).reshape(shape).astype(dtype.newbyteorder("="))
