"""A RealSense camera without hardware: the SDK's own software device, recorded by the SDK's own recorder.

    python software_realsense.py OUT [SECONDS]

Colour rgb8 and depth 160x120 at 15 Hz, gyroscope 200 Hz, accelerometer 100 Hz. A red box 0.5 m away hangs before a
grey wall at 2 m. Colour and depth are 15 mm apart, and see the box at other pixels: only aligned they agree.
The acceleration ramps with time (x = seconds), so that what is interpolated can be checked.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import pyrealsense2 as rs

WIDTH, HEIGHT, FPS = 160, 120, 15
DEPTH_FOCAL, COLOUR_FOCAL = 96.0, 154.0
SHIFT, BASELINE_MM, UNITS = 0.015, 50.0, 0.001
GYRO_RATE, ACCEL_RATE = 200, 100
SERIAL = "SOFT0001"
WALL, BOX = 2.0, 0.5
# The box in space, metres in the depth camera's frame: x, then y.
BOX_X, BOX_Y = (-0.15, 0.05), (-0.1, 0.1)
RED, GREY = (220, 20, 20), (60, 60, 60)


def box_pixels(focal: float, shift: float) -> tuple[slice, slice]:
    """Rows and columns of the box for a camera `shift` metres beside the depth camera."""
    columns = [round(WIDTH / 2 + focal * (x + shift) / BOX) for x in BOX_X]
    rows = [round(HEIGHT / 2 + focal * y / BOX) for y in BOX_Y]
    return slice(max(0, rows[0]), rows[1]), slice(max(0, columns[0]), columns[1])


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Depth in millimetres (uint16) and colour (uint8 RGB)."""
    depth = np.full((HEIGHT, WIDTH), round(WALL / UNITS), np.uint16)
    depth[box_pixels(DEPTH_FOCAL, 0.0)] = round(BOX / UNITS)
    colour = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    colour[box_pixels(COLOUR_FOCAL, SHIFT)] = RED
    return depth, colour


def intrinsics(focal: float) -> Any:
    made = rs.intrinsics()
    made.width, made.height, made.fx, made.fy = WIDTH, HEIGHT, focal, focal
    made.ppx, made.ppy = WIDTH / 2, HEIGHT / 2
    made.model, made.coeffs = rs.distortion.brown_conrady, [0.0] * 5
    return made


class SoftwareRealSense:
    """One software device; `run` feeds it in real time."""

    def __init__(self) -> None:
        self.device = rs.software_device()
        for key, value in (
            (rs.camera_info.name, "Software RealSense D435I"),
            (rs.camera_info.serial_number, SERIAL),
            (rs.camera_info.product_line, "D400"),
        ):
            self.device.register_info(key, value)
        self.stereo = self.device.add_sensor("Stereo Module")
        self.colour = self.device.add_sensor("RGB Camera")
        self.motion = self.device.add_sensor("Motion Module")
        self.depth_profile = self._video(self.stereo, rs.stream.depth, 1, 2, rs.format.z16, DEPTH_FOCAL)
        self.colour_profile = self._video(self.colour, rs.stream.color, 2, 3, rs.format.rgb8, COLOUR_FOCAL)
        self.gyro_profile = self._motion_stream(rs.stream.gyro, 3, GYRO_RATE)
        self.accel_profile = self._motion_stream(rs.stream.accel, 4, ACCEL_RATE)
        shift = rs.extrinsics()
        shift.rotation, shift.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [SHIFT, 0, 0]
        self.depth_profile.register_extrinsics_to(self.colour_profile, shift)
        self.stereo.add_read_only_option(rs.option.depth_units, UNITS)
        self.stereo.add_read_only_option(rs.option.stereo_baseline, BASELINE_MM)
        self.device.create_matcher(rs.matchers.default)
        # The SDK reads from these buffers later.
        self._keep: list[Any] = []

    def _video(self, sensor: Any, stream: Any, uid: int, bytes_a_pixel: int, form: Any, focal: float) -> Any:
        video = rs.video_stream()
        video.type, video.index, video.uid, video.fmt = stream, 0, uid, form
        video.width, video.height, video.fps, video.bpp = WIDTH, HEIGHT, FPS, bytes_a_pixel
        video.intrinsics = intrinsics(focal)
        return sensor.add_video_stream(video, True).as_video_stream_profile()

    def _motion_stream(self, stream: Any, uid: int, rate: int) -> Any:
        motion = rs.motion_stream()
        motion.type, motion.index, motion.uid = stream, 0, uid
        motion.fps, motion.fmt = rate, rs.format.motion_xyz32f
        own = rs.motion_device_intrinsic()
        own.data = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
        own.noise_variances, own.bias_variances = [1e-4] * 3, [1e-6] * 3
        motion.intrinsics = own
        return self.motion.add_motion_stream(motion, True).as_motion_stream_profile()

    def _push_pictures(self, number: int, milliseconds: float) -> None:
        depth, colour = pictures()
        for sensor, profile, pixels, size in (
            (self.stereo, self.depth_profile, depth, 2),
            (self.colour, self.colour_profile, colour, 3),
        ):
            frame = rs.software_video_frame()
            frame.stride, frame.bpp, frame.timestamp = WIDTH * size, size, milliseconds
            frame.frame_number, frame.profile = number, profile
            frame.domain = rs.timestamp_domain.hardware_clock
            if sensor is self.stereo:
                frame.depth_units = UNITS
            frame.pixels = pixels
            sensor.on_video_frame(frame)
            self._keep.append((frame, pixels))
        del self._keep[:-200]

    def _push_motion(self, profile: Any, number: int, milliseconds: float, value: tuple) -> None:
        frame, vector = rs.software_motion_frame(), rs.vector()
        vector.x, vector.y, vector.z = value
        frame.timestamp, frame.frame_number, frame.profile = milliseconds, number, profile
        frame.domain, frame.data = rs.timestamp_domain.hardware_clock, vector
        self.motion.on_motion_frame(frame)
        self._keep.append((frame, vector))

    def run(self, seconds: float) -> None:
        """Feed the device for so long."""
        start, turns, accelerations, frames = time.perf_counter(), 0, 0, 0
        while (now := time.perf_counter() - start) < seconds:
            while turns / GYRO_RATE <= now:
                self._push_motion(self.gyro_profile, turns, turns * 1e3 / GYRO_RATE, (0.0, 0.1, 0.0))
                turns += 1
            while accelerations / ACCEL_RATE <= now:
                t = accelerations / ACCEL_RATE
                self._push_motion(self.accel_profile, accelerations, t * 1e3, (t, -9.81, 0.0))
                accelerations += 1
            if frames / FPS <= now:
                self._push_pictures(frames, frames * 1e3 / FPS)
                frames += 1
            time.sleep(0.001)


def record(path: str, seconds: float) -> None:
    """Record the software device to a file, as realsense-viewer does."""
    source = SoftwareRealSense()
    recorder = rs.recorder(path, source.device)
    sensors = list(recorder.query_sensors())
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles())
        sensor.start(lambda frame: None)
    source.run(seconds)
    time.sleep(0.3)
    for sensor in sensors:
        sensor.stop()
        sensor.close()


if __name__ == "__main__":
    record(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 3.0)
