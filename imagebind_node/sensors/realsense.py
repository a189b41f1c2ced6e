"""Intel RealSense cameras and their recordings through the SDK (pyrealsense2)."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError
from imagebind_node.samples import DepthSample, ImageSample
from imagebind_node.sensors.base import Clock, LatestSlot, ThreadedSensor
from imagebind_node.sensors.camera_model import CameraModel
from imagebind_node.sensors.device_clock import DeviceClock
from imagebind_node.sensors.inertial import ImuReading, ReadingQueue, UnitedImu
from imagebind_node.sensors.realsense_frames import camera_model, metres, rgb

# Without pictures for this long the camera counts as lost: the SDK itself does not say so. It starts slowly.
_LOST_SECONDS, _START_SECONDS = 2.0, 6.0
_POLL_SECONDS = 0.25
# Stamps further back than this come of our clock being set, and stay as they are.
_START_OVER_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class RealSenseConfig:
    """serial: of the camera, empty for the first one found. file: a recording to play instead (.bag, .db3).

    width, height, fps: of colour and depth alike, 0 for the SDK's choice; a recording keeps its own. imu: deliver
    readings, if the camera measures them. loop: start a recording over at its end. baseline: metres between the
    stereo pair, 0 for what the camera says.
    """

    serial: str = ""
    file: str = ""
    width: int = 640
    height: int = 480
    fps: int = 30
    imu: bool = True
    loop: bool = False
    baseline: float = 0.0
    frame_id: str = "camera_optical_frame"


@dataclass(frozen=True)
class RealSenseFrame:
    """Colour and depth of one moment; depth is aligned to colour: same size, same pixels, same `camera`.

    stamp: ns. A recording without colour gives depth in the depth camera's own geometry, one without depth only
    colour.
    """

    stamp: int
    colour: ImageSample | None
    depth: DepthSample | None
    camera: CameraModel


def _sdk() -> Any:
    try:
        import pyrealsense2
    except ImportError as error:
        raise MissingDependencyError(
            f"RealSense cameras need the SDK ({error}): pip install 'imagebind_node[realsense]' (package "
            "pyrealsense2), apt install libusb-1.0-0"
        ) from None
    return pyrealsense2


class RealSense(ThreadedSensor[RealSenseFrame]):
    """Delivers colour with aligned depth (`read_latest`) and inertial readings (`read_imu`).

    Stamps are the camera's own, moved to our clock: through the SDK's global time where the camera has it, else,
    and for recordings, by the smallest delay (see DeviceClock). A recording plays at its own pace, from now on.
    The frame of the readings is that of the depth camera: x right, y down, z forward.
    """

    def __init__(self, config: RealSenseConfig, clock: Clock = time.time_ns, context: Any = None) -> None:
        """context: a pyrealsense2.context that knows the cameras, such as one with virtual devices.

        Raises MissingDependencyError without the SDK and InvalidInputError for impossible settings.
        """
        self._rs = _sdk()
        if min(config.width, config.height, config.fps) < 0 or config.baseline < 0:
            raise InvalidInputError("RealSense width, height, fps and baseline must not be below 0")
        if config.file and config.serial:
            raise InvalidInputError("RealSense: give a serial number or a file, not both")
        super().__init__(f"RealSense {config.file or config.serial or 'camera'}")
        self.config = config
        self.imu_supported = True
        self._clock = clock
        self._context = context or self._rs.context()
        self._slot: LatestSlot[RealSenseFrame] = LatestSlot()
        self._readings = ReadingQueue()
        self._united = UnitedImu()
        self._restart()

    def read_latest(self, max_age: float = 1.0) -> RealSenseFrame:
        """Newest unread frame, at most `max_age` s old; waits that long. Raises DeviceError if none comes."""
        return self._slot.take(max_age, self._why_nothing)

    def read_imu(self, timeout: float = 1.0) -> ImuReading:
        """The next inertial reading in order; waits up to `timeout` s, then raises DeviceError."""
        return self._readings.get(timeout, lambda: self._why_nothing("motion"))

    @property
    def imu_dropped(self) -> int:
        """Measurements that repeat a stamp, have no partner to unite with, or that nobody read."""
        return self._united.dropped + self._readings.dropped

    def _why_nothing(self, what: str = "picture") -> str:
        reason = f": {self.stats.last_error}" if self.stats.last_error else ""
        return f"{self.name} delivers no {what} ({self.stats.state}){reason}"

    def _restart(self) -> None:
        self._device_clock = DeviceClock()
        self._clock_lock = threading.Lock()
        self._frames: queue.Queue[tuple[Any, int]] = queue.Queue(1)
        self._last_number: int | None = None
        self._last_stamp = 0
        self._playback: Any = None
        self._baseline = 0.0

    def _stream(self, stop: threading.Event) -> bool:
        self._restart()
        pipeline = self._rs.pipeline(self._context)
        request = self._request()
        try:
            profile = pipeline.start(request, self._on_frame)
        except RuntimeError as error:
            raise DeviceError(f"cannot open {self.name}: {error}") from None
        try:
            self.stats.opened += 1
            device = profile.get_device()
            self._playback = device.as_playback() if device.is_playback() else None
            self._baseline = self.config.baseline or self._baseline_of(device)
            align = self._rs.align(self._rs.stream.color)
            return self._process(stop, align)
        except DeviceError:
            raise
        except RuntimeError as error:
            raise DeviceError(f"{self.name} failed: {error}") from None
        finally:
            self._stop_pipeline(pipeline)

    def _request(self) -> Any:
        """What to ask the SDK for: of a recording all that it holds, of a camera colour, depth and motion."""
        rs, config = self._rs, self.config
        request = rs.config()
        if config.file:
            path = Path(config.file).expanduser()
            if not path.is_file():
                raise DeviceError(f"RealSense recording {config.file!r} does not exist")
            request.enable_device_from_file(str(path), repeat_playback=config.loop)
            return request
        device = self._find()
        request.enable_device(device.get_info(rs.camera_info.serial_number))
        size = (config.width, config.height) if config.width and config.height else (0, 0)
        request.enable_stream(rs.stream.color, *size, rs.format.rgb8, config.fps)
        request.enable_stream(rs.stream.depth, *size, rs.format.z16, config.fps)
        streams = {p.stream_type() for sensor in device.query_sensors() for p in sensor.get_stream_profiles()}
        self.imu_supported = {rs.stream.gyro, rs.stream.accel} <= streams
        if config.imu and self.imu_supported:
            request.enable_stream(rs.stream.gyro)
            request.enable_stream(rs.stream.accel)
        return request

    def _find(self) -> Any:
        number = self._rs.camera_info.serial_number
        found = {device.get_info(number): device for device in self._context.query_devices()}
        if not found:
            raise DeviceError(
                "no RealSense camera is connected: check the cable, the USB port and udev rules"
            )
        serial = self.config.serial or next(iter(found))
        if serial not in found:
            raise DeviceError(f"no RealSense {serial} is connected, but {', '.join(found)}")
        return found[serial]

    def _baseline_of(self, device: Any) -> float:
        """Metres between the infrared cameras; 0 for cameras that are no stereo pair."""
        option = self._rs.option.stereo_baseline
        for sensor in device.query_sensors():
            if sensor.supports(option):
                return sensor.get_option(option) / 1e3
        return 0.0

    def _on_frame(self, frame: Any) -> None:
        """A thread of the SDK: keep the newest pictures, unite motion."""
        arrival = self._clock()
        if frame.is_motion_frame():
            if self.config.imu:
                self._unite(frame, arrival)
        elif frame.is_frameset():
            frame.keep()
            while True:
                try:
                    self._frames.put_nowait((frame.as_frameset(), arrival))
                    return
                except queue.Full:
                    self._discard()

    def _discard(self) -> None:
        try:
            self._frames.get_nowait()
        except queue.Empty:
            return
        self.stats.lost += 1

    def _unite(self, frame: Any, arrival: int) -> None:
        stamp = self._capture_time(frame, arrival)
        data = frame.as_motion_frame().get_motion_data()
        value = (float(data.x), float(data.y), float(data.z))
        if not np.isfinite(value).all():
            self._united.dropped += 1
        elif frame.get_profile().stream_type() == self._rs.stream.gyro:
            self._united.turn_rate(stamp, value)
        else:
            for reading in self._united.acceleration(stamp, value):
                self._readings.put(reading)

    def _capture_time(self, frame: Any, arrival: int) -> int:
        device = round(frame.get_timestamp() * 1e6)
        global_time = frame.get_frame_timestamp_domain() != self._rs.timestamp_domain.hardware_clock
        if global_time and self._playback is None and not self.config.file:
            return arrival - (time.time_ns() - device)
        with self._clock_lock:
            return self._device_clock.stamp(device, arrival)

    def _in_order(self, stamp: int) -> int:
        """Where a recording starts over, the new offset may put its first frame just before its last one."""
        if 0 <= self._last_stamp - stamp < _START_OVER_NS:
            stamp = self._last_stamp + 1
        self._last_stamp = stamp
        return stamp

    def _process(self, stop: threading.Event, align: Any) -> bool:
        silent_since = time.monotonic()
        seen = False
        while not stop.is_set():
            try:
                frames, arrival = self._frames.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if seen and not self.config.loop and self._has_ended():
                    return False
                if time.monotonic() - silent_since > (_LOST_SECONDS if seen else _START_SECONDS):
                    raise DeviceError(f"{self.name} stopped delivering pictures") from None
                continue
            silent_since, seen = time.monotonic(), True
            self.stats.state = "streaming"
            self._count(frames)
            self._slot.put(self._convert(frames, arrival, align))
            self.stats.received += 1
        return True

    def _has_ended(self) -> bool:
        if not self.config.file or self._playback is None:
            return False
        # Before its first frame a recording also counts as stopped.
        return bool(self._playback.current_status() == self._rs.playback_status.stopped)

    def _count(self, frames: Any) -> None:
        """Gaps in the numbers of the frames are what the camera or the cable lost."""
        number = frames.get_frame_number()
        if self._last_number is not None and number > self._last_number + 1:
            self.stats.lost += number - self._last_number - 1
        self._last_number = number

    def _convert(self, frames: Any, arrival: int, align: Any) -> RealSenseFrame:
        colour, depth = frames.get_color_frame(), frames.get_depth_frame()
        if colour and depth:
            depth = align.process(frames).get_depth_frame()
        stamp = self._in_order(self._capture_time(colour or depth, arrival))
        camera = camera_model(colour or depth, self._baseline)
        frame_id = self.config.frame_id
        picture = ImageSample(rgb(colour), stamp, frame_id) if colour else None
        distances = None
        if depth:
            distances = DepthSample(metres(depth), camera.fx, camera.baseline_m or None, stamp, frame_id)
        return RealSenseFrame(stamp, picture, distances, camera)

    def _stop_pipeline(self, pipeline: Any) -> None:
        try:
            pipeline.stop()
        except RuntimeError as error:
            self.stats.last_error = str(error)
