"""Cameras, video files and network streams through OpenCV."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.samples import ImageSample
from imagebind_node.sensors.base import Clock, LatestSlot, ThreadedSensor

# A file without a frame rate is played at this one.
_DEFAULT_FPS = 25.0
_OPEN_TIMEOUT_MS = 5000
_READ_TIMEOUT_MS = 3000


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


class Camera(ThreadedSensor[ImageSample]):
    """Delivers colour pictures stamped with their time of capture; a file plays at its own frame rate.

    The capture time of a V4L2 device is the kernel's, of anything else the moment the frame was handed over.
    """

    def __init__(self, config: CameraConfig, clock: Clock = time.time_ns) -> None:
        super().__init__(f"camera {config.source}")
        if not config.source.strip():
            raise InvalidInputError("camera source is empty: give a device number, a path or a URL")
        self.config = config
        self._clock = clock
        self._slot: LatestSlot[ImageSample] = LatestSlot()

    def read_latest(self, max_age: float = 1.0) -> ImageSample:
        """Newest unread picture, at most `max_age` s old; waits that long. Raises DeviceError if none comes."""
        return self._slot.take(max_age, self._why_nothing)

    def _why_nothing(self) -> str:
        reason = f": {self.stats.last_error}" if self.stats.last_error else ""
        return f"camera {self.config.source!r} delivers no picture ({self.stats.state}){reason}"

    def _stream(self, stop: threading.Event) -> bool:
        capture = self._open_capture()
        try:
            self.stats.opened += 1
            self.stats.state = "streaming"
            return self._play_file(capture, stop) if self._is_recording() else self._read(capture, stop)
        finally:
            capture.release()

    def _read(self, capture: cv2.VideoCapture, stop: threading.Event) -> bool:
        while not stop.is_set():
            if not capture.grab():
                raise DeviceError(f"camera {self.config.source!r} stopped delivering pictures")
            self._deliver(capture, self._capture_time(capture))
        return True

    def _play_file(self, capture: cv2.VideoCapture, stop: threading.Event) -> bool:
        fps = self.config.fps or capture.get(cv2.CAP_PROP_FPS)
        period = 1.0 / (fps if 0 < fps < 1000 else _DEFAULT_FPS)
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            if not capture.grab():
                if self.stats.received == 0:
                    raise DeviceError(f"{self.config.source!r} holds no picture")
                if not self.config.loop:
                    return False
                capture.release()
                capture.open(self._target())
                continue
            self._deliver(capture, self._clock())
            due = max(due + period, time.monotonic() - period)
        return True

    def _deliver(self, capture: cv2.VideoCapture, stamp: int) -> None:
        good, picture = capture.retrieve()
        if not good or picture is None or picture.size == 0:
            self.stats.lost += 1
            return
        code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
        self._slot.put(ImageSample(cv2.cvtColor(picture, code), stamp, self.config.frame_id))
        self.stats.received += 1

    def _capture_time(self, capture: cv2.VideoCapture) -> int:
        """The kernel's stamp of the frame, moved to our clock; now, if the backend has none."""
        now, monotonic = self._clock(), time.monotonic()
        if self._is_device():
            age = monotonic - capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            if 0.0 <= age < 1.0:
                return now - round(age * 1e9)
        return now

    def _open_capture(self) -> cv2.VideoCapture:
        source = self.config.source
        if self._is_recording() and "%" not in source and not Path(source).is_file():
            raise DeviceError(
                f"camera source {source!r} does not exist: give a device number, a path or a URL"
            )
        timeouts = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            _OPEN_TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            _READ_TIMEOUT_MS,
        ]
        if self._is_stream():
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, timeouts)
        else:
            capture = cv2.VideoCapture(self._target())
        if not capture.isOpened():
            capture.release()
            raise DeviceError(f"cannot open camera {source!r}: is it plugged in, readable and not in use?")
        if self._is_device():
            self._ask_for_format(capture)
        return capture

    def _ask_for_format(self, capture: cv2.VideoCapture) -> None:
        # One frame of buffer: with OpenCV's default of four a slow reader sees the past.
        wishes = {
            cv2.CAP_PROP_BUFFERSIZE: 1,
            cv2.CAP_PROP_FRAME_WIDTH: self.config.width,
            cv2.CAP_PROP_FRAME_HEIGHT: self.config.height,
            cv2.CAP_PROP_FPS: self.config.fps,
        }
        for property_id, value in wishes.items():
            if value:
                capture.set(property_id, value)

    def _target(self) -> int | str:
        return int(self.config.source) if self.config.source.isdigit() else self.config.source

    def _is_device(self) -> bool:
        return self.config.source.isdigit() or self.config.source.startswith("/dev/")

    def _is_stream(self) -> bool:
        return "://" in self.config.source

    def _is_recording(self) -> bool:
        return not self._is_device() and not self._is_stream()
