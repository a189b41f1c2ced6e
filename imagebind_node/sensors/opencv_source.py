"""What every picture source through OpenCV shares: devices, files, image sequences and network streams."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

# Read by OpenCV once, when it first opens a stream: errors of FFmpeg are said by our DeviceError, in one line.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.base import Clock, LatestSlot, ThreadedSensor
from imagebind_node.sensors.device_clock import DeviceClock

S = TypeVar("S")
# A file without a frame rate is played at this one.
_DEFAULT_FPS = 25.0
_OPEN_TIMEOUT_MS = 5000
_READ_TIMEOUT_MS = 3000


class SourceConfig(Protocol):
    """The part of a driver's configuration that says where pictures come from; see CameraConfig."""

    @property
    def source(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def loop(self) -> bool: ...


class OpenCvSource(ThreadedSensor[S], Generic[S]):
    """Reads `config.source` in a thread; `make` turns each picture into a sample.

    A file plays at its own frame rate. The capture time of a V4L2 device is the kernel's; that of an RTSP stream the
    camera's RTP time, moved to our clock by the smallest delay (DeviceClock); of anything else the moment the frame
    was handed over.
    """

    def __init__(self, what: str, config: SourceConfig, clock: Clock) -> None:
        """what: for messages, such as "camera". Raises InvalidInputError for an empty source."""
        if not config.source.strip():
            raise InvalidInputError(f"{what} source is empty: give a device number, a path or a URL")
        super().__init__(f"{what} {config.source}")
        self._what = what
        self._source = config
        self._clock = clock
        self._slot: LatestSlot[S] = LatestSlot()
        self._due = 0.0
        self._stream_clock = DeviceClock()
        self.shape = (0, 0)
        """Rows and columns as the source announced them."""

    def read_latest(self, max_age: float = 1.0) -> S:
        """Newest unread picture, at most `max_age` s old; waits that long. Raises DeviceError if none comes."""
        return self._slot.take(max_age, self._why_nothing)

    def make(self, picture: np.ndarray, stamp: int) -> S:
        """Sample of a picture as OpenCV gives it. Raises DeviceError if it is none of this kind."""
        raise NotImplementedError

    def prepare(self, capture: Any) -> None:
        """Set up a capture that was just opened, before its size is asked for."""

    def _why_nothing(self) -> str:
        reason = f": {self.stats.last_error}" if self.stats.last_error else ""
        return f"{self._what} {self._source.source!r} delivers no picture ({self.stats.state}){reason}"

    def _stream(self, stop: threading.Event) -> bool:
        self._due = time.monotonic()
        capture = self._open_capture()
        self.stats.opened += 1
        self.stats.state = "streaming"
        self._stream_clock = DeviceClock()
        while True:
            try:
                if not self._is_recording():
                    return self._read(capture, stop)
                if self._play_file(capture, stop) or not self._source.loop:
                    return stop.is_set()
            finally:
                capture.release()
            capture = self._open_capture()

    def _read(self, capture: cv2.VideoCapture, stop: threading.Event) -> bool:
        while not stop.is_set():
            if not capture.grab():
                raise DeviceError(f"{self._what} {self._source.source!r} stopped delivering pictures")
            self._deliver(capture, self._capture_time(capture))
        return True

    def _play_file(self, capture: cv2.VideoCapture, stop: threading.Event) -> bool:
        fps = self._source.fps or capture.get(cv2.CAP_PROP_FPS)
        period = 1.0 / (fps if 0 < fps < 1000 else _DEFAULT_FPS)
        while not stop.wait(max(0.0, self._due - time.monotonic())):
            if not capture.grab():
                if self.stats.received == 0:
                    raise DeviceError(f"{self._source.source!r} holds no picture")
                return False
            self._deliver(capture, self._clock())
            self._due = max(self._due + period, time.monotonic() - period)
        return True

    def _deliver(self, capture: cv2.VideoCapture, stamp: int) -> None:
        good, picture = capture.retrieve()
        if not good or picture is None or picture.size == 0:
            self.stats.lost += 1
            return
        self._slot.put(self.make(picture, stamp))
        self.stats.received += 1

    def _capture_time(self, capture: cv2.VideoCapture) -> int:
        """The kernel's or the network camera's stamp of the frame, moved to our clock; now, if there is none."""
        now, monotonic = self._clock(), time.monotonic()
        position = capture.get(cv2.CAP_PROP_POS_MSEC)
        if self._is_device():
            age = monotonic - position / 1e3
            if 0.0 <= age < 1.0:
                return now - round(age * 1e9)
        # MJPEG over HTTP carries no time: there FFmpeg counts frames at a rate that it guesses.
        if self._source.source.lower().startswith("rtsp") and position > 0:
            return self._stream_clock.stamp(round(position * 1e6), now)
        return now

    def _open_capture(self) -> cv2.VideoCapture:
        source = self._source.source
        if self._is_device():
            self._check_device()
        elif self._is_recording() and "%" not in source and not Path(source).is_file():
            raise DeviceError(
                f"{self._what} source {source!r} does not exist: give a device number, a path or a URL"
            )
        capture = _quietly(self._capture)
        if not capture.isOpened():
            capture.release()
            raise DeviceError(
                f"cannot open {self._what} {source!r}: is it plugged in, readable and not in use?"
            )
        _quietly(lambda: self.prepare(capture))
        if self._is_device():
            self._ask_for_format(capture)
        size = (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        self.shape = (round(capture.get(size[0])), round(capture.get(size[1])))
        return capture

    def _capture(self) -> cv2.VideoCapture:
        source = self._source.source
        if self._is_stream():
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_TIMEOUT_MS]
            timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_TIMEOUT_MS]
            return cv2.VideoCapture(source, cv2.CAP_FFMPEG, timeouts)
        if self._is_device():
            # On Linux no other backend knows a camera that V4L2 does not.
            backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
            return cv2.VideoCapture(int(source) if source.isdigit() else source, backend)
        # FFmpeg would cut 16-bit pictures of a sequence down to 8.
        return cv2.VideoCapture(source, cv2.CAP_IMAGES if "%" in source else cv2.CAP_ANY)

    def _check_device(self) -> None:
        source = self._source.source
        path = Path(f"/dev/video{source}" if source.isdigit() else source)
        if sys.platform == "linux" and not path.exists():
            there = ", ".join(sorted(str(other) for other in Path("/dev").glob("video*"))) or "none"
            raise DeviceError(f"{self._what} {source!r}: there is no {path} (video devices here: {there})")

    def _ask_for_format(self, capture: cv2.VideoCapture) -> None:
        # One frame of buffer: with OpenCV's default of four a slow reader sees the past.
        wishes = {
            cv2.CAP_PROP_BUFFERSIZE: 1,
            cv2.CAP_PROP_FRAME_WIDTH: self._source.width,
            cv2.CAP_PROP_FRAME_HEIGHT: self._source.height,
            cv2.CAP_PROP_FPS: self._source.fps,
        }
        for property_id, value in wishes.items():
            if value:
                capture.set(property_id, value)

    def _is_device(self) -> bool:
        return self._source.source.isdigit() or self._source.source.startswith("/dev/")

    def _is_stream(self) -> bool:
        return "://" in self._source.source

    def _is_recording(self) -> bool:
        return not self._is_device() and not self._is_stream()


_LOG_LOCK = threading.Lock()
T = TypeVar("T")


def _quietly(action: Callable[[], T]) -> T:
    """Run `action` without OpenCV's warnings: a missing camera is tried for ever and said once, by us."""
    # OpenCV 4 and 5; distributions build it with and without.
    logging = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is None:
        return action()
    with _LOG_LOCK:
        before = logging.getLogLevel()
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
        try:
            return action()
        finally:
            logging.setLogLevel(before)
