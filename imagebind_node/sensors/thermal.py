"""Thermal cameras that deliver 16 bits a pixel (UVC format Y16, such as FLIR Lepton with PureThermal, and Boson)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.samples import ThermalSample
from imagebind_node.sensors.base import Clock
from imagebind_node.sensors.opencv_source import OpenCvSource

_CENTIKELVIN = 0.01


@dataclass(frozen=True, kw_only=True)
class ThermalConfig:
    """source: device number, device path, 16-bit video (FFV1) or image sequence ("%04d.png", 16-bit PNG or TIFF).

    width, height, fps: asked of a device, telemetry rows included; 0 leaves its own. loop: start a file over.
    crop_top, crop_bottom: rows of telemetry to cut off (Lepton 3 with a footer: 2 at the bottom).
    kelvin_per_count, kelvin_offset: temperature = count * kelvin_per_count + kelvin_offset for radiometric
    cameras (Lepton with TLinear: 0.01 and 0, in its low resolution 0.1); 0: the counts mean no temperature.
    as_kelvin: deliver float32 kelvin in place of uint16.
    """

    source: str = "0"
    width: int = 0
    height: int = 0
    fps: float = 0.0
    loop: bool = False
    crop_top: int = 0
    crop_bottom: int = 0
    kelvin_per_count: float = 0.0
    kelvin_offset: float = 0.0
    as_kelvin: bool = False
    frame_id: str = "thermal_optical_frame"


class ThermalCamera(OpenCvSource[ThermalSample]):
    """Delivers thermal pictures stamped with their time of capture.

    Data: uint16 counts as they come without `kelvin_per_count`; with it uint16 centikelvin (0.01 K, up to 655 K)
    or, `as_kelvin`, float32 kelvin: what preprocessing/thermal.py takes these types to be. A camera that has only
    8 bits delivers uint8.
    """

    def __init__(self, config: ThermalConfig, clock: Clock = time.time_ns) -> None:
        """Raises InvalidInputError for impossible settings."""
        super().__init__("thermal camera", config, clock)
        if min(config.crop_top, config.crop_bottom) < 0 or config.kelvin_per_count < 0:
            raise InvalidInputError("thermal camera: crops and kelvin_per_count must not be below 0")
        if config.as_kelvin and not config.kelvin_per_count:
            raise InvalidInputError(
                "thermal camera: kelvin need kelvin_per_count, such as 0.01 for a Lepton with TLinear"
            )
        self.config = config

    def prepare(self, capture: Any) -> None:
        if self._is_device():
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"Y16 "))
        # Otherwise OpenCV makes 8-bit colour of it.
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)

    def make(self, picture: np.ndarray, stamp: int) -> ThermalSample:
        data = self._one_channel(picture)
        config = self.config
        if config.crop_top + config.crop_bottom >= len(data):
            raise DeviceError(
                f"thermal picture of {len(data)} rows has nothing left after cutting off "
                f"{config.crop_top} + {config.crop_bottom}: check crop_top and crop_bottom"
            )
        data = data[config.crop_top : len(data) - config.crop_bottom]
        return ThermalSample(self._scaled(data), stamp, config.frame_id)

    def _one_channel(self, picture: np.ndarray) -> np.ndarray:
        """uint8 or uint16 (H, W); some versions of OpenCV hand Y16 over as a row of bytes."""
        height, width = self.shape
        if picture.dtype == np.uint8 and picture.size == 2 * height * width and picture.shape[0] != height:
            return np.ascontiguousarray(picture).view(np.uint16).reshape(height, width)
        if picture.ndim == 3 and picture.shape[2] == 1:
            picture = picture[..., 0]
        if picture.ndim == 2 and picture.dtype in (np.uint8, np.uint16):
            return picture
        raise DeviceError(
            f"{self.config.source!r} delivers {picture.dtype} {picture.shape}, which is no thermal picture: use a "
            "camera with format Y16, or a file with one channel of 16 bits"
        )

    def _scaled(self, data: np.ndarray) -> np.ndarray:
        scale, offset = self.config.kelvin_per_count, self.config.kelvin_offset
        if not scale or data.dtype == np.uint8:
            return np.ascontiguousarray(data)
        if self.config.as_kelvin:
            return data.astype(np.float32) * np.float32(scale) + np.float32(offset)
        if scale == _CENTIKELVIN and offset == 0.0:
            return np.ascontiguousarray(data)
        return np.clip(np.rint((data * scale + offset) / _CENTIKELVIN), 0, 65535).astype(np.uint16)
