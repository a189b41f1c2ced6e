"""Cameras, video files and network streams through OpenCV."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np

from imagebind_node.samples import ImageSample
from imagebind_node.sensors.base import Clock
from imagebind_node.sensors.opencv_source import OpenCvSource


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """source: device number ("0"), device path, video file, image sequence ("frames/%04d.png") or URL.

    width, height, fps: asked of a device; 0 leaves its own setting. loop: start a file over at its end.
    """

    source: str = "0"
    width: int = 0
    height: int = 0
    fps: float = 0.0
    loop: bool = False
    frame_id: str = "camera_optical_frame"


class Camera(OpenCvSource[ImageSample]):
    """Delivers colour pictures stamped with their time of capture."""

    def __init__(self, config: CameraConfig, clock: Clock = time.time_ns) -> None:
        super().__init__("camera", config, clock)
        self.config = config

    def make(self, picture: np.ndarray, stamp: int) -> ImageSample:
        if picture.dtype == np.uint16:
            picture = (picture >> 8).astype(np.uint8)
        code = {1: cv2.COLOR_GRAY2RGB, 4: cv2.COLOR_BGRA2RGB}.get(
            1 if picture.ndim == 2 else picture.shape[2], cv2.COLOR_BGR2RGB
        )
        return ImageSample(cv2.cvtColor(picture, code), stamp, self.config.frame_id)
