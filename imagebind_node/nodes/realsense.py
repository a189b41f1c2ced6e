"""RealSense node: colour, aligned depth, their geometry and motion of one camera or recording.

ros2 run imagebind_node realsense --ros-args -p serial:="'046122250123'"
ros2 run imagebind_node realsense --ros-args -p file:=kitchen.bag
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from imagebind_node.errors import DeviceError
from imagebind_node.nodes.driver import (
    CAMERA_INFO_TOPIC,
    CAMERA_TOPIC,
    DEPTH_INFO_TOPIC,
    DEPTH_TOPIC,
    IMU_TOPIC,
    SensorNode,
)
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import READ
from imagebind_node.sensors.realsense import RealSense, RealSenseConfig, RealSenseFrame

SETTINGS = [
    Setting("serial", "", "Serial number of the camera; empty: the first one found."),
    Setting("file", "", "Recording of the SDK to play instead (.bag, .db3); empty: none.", path=READ),
    Setting("width", 640, "Pixels of colour and depth; 0: the SDK's choice.", 0, 16384),
    Setting("height", 480, "Pixels of colour and depth; 0: the SDK's choice.", 0, 16384),
    Setting("fps", 30, "Frames a second, one of the camera's own rates; 0: the SDK's choice.", 0, 300),
    Setting("imu", True, "Publish the camera's motion sensor, if it has one."),
    Setting("loop", False, "Start a recording over at its end."),
    Setting("baseline", 0.0, "Metres between the stereo pair; 0: what the camera says.", 0.0, 10.0),
    Setting("frame_id", "camera_optical_frame", "Coordinate frame of colour and depth (REP-105)."),
    Setting("imu_frame_id", "camera_imu_optical_frame", "Coordinate frame of the motion sensor."),
    Setting(
        "depth_encoding",
        "16UC1",
        "Depth as millimetres or as metres (REP-118).",
        choices=("16UC1", "32FC1"),
    ),
    Setting("acceleration_variance", 0.01, "Noise of the accelerometer, (m/s^2)^2; 0: unknown.", 0.0, 1000.0),
    Setting("turn_rate_variance", 0.01, "Noise of the gyroscope, (rad/s)^2; 0: unknown.", 0.0, 1000.0),
    Setting("read_timeout", 1.0, "Seconds without a picture that count as an error.", 0.1, 60.0, live=True),
]
_CONFIG = ("serial", "file", "width", "height", "fps", "imu", "loop", "baseline", "frame_id")


class RealSenseNode(SensorNode[RealSense]):
    """Publishes what a RealSense sees and feels; survives the loss of the camera."""

    def __init__(self, name: str = "realsense", **options: Any) -> None:
        topics = [CAMERA_TOPIC, CAMERA_INFO_TOPIC, DEPTH_TOPIC, DEPTH_INFO_TOPIC, IMU_TOPIC]
        super().__init__(name, SETTINGS, topics, **options)

    def make(self) -> RealSense:
        return RealSense(RealSenseConfig(**{name: self.settings[name] for name in _CONFIG}), self.now)

    def pump(self, sensor: RealSense, stop: threading.Event) -> None:
        """Pictures in this thread, motion in one of its own: it must not wait for them."""
        done = threading.Event()
        motion = threading.Thread(target=self._pump_imu, args=(sensor, done), daemon=True)
        motion.start()
        try:
            super().pump(sensor, stop)
        finally:
            done.set()
            motion.join()

    def deliver(self, item: RealSenseFrame) -> None:
        frame_id = self.settings["frame_id"]
        if item.colour is not None:
            self.emit_info(CAMERA_INFO_TOPIC, replace(item.camera, baseline_m=0.0), item.stamp, frame_id)
            self.emit_picture(CAMERA_TOPIC, item.colour)
        if item.depth is not None:
            self.emit_info(DEPTH_INFO_TOPIC, item.camera, item.stamp, frame_id)
            self.emit_picture(DEPTH_TOPIC, item.depth, self.settings["depth_encoding"])

    def figures(self) -> dict[str, object]:
        return {"imu dropped": self.sensor.imu_dropped} if self.sensor else {}

    def _pump_imu(self, camera: RealSense, done: threading.Event) -> None:
        frame_id = self.settings["imu_frame_id"]
        variances = (self.settings["acceleration_variance"], self.settings["turn_rate_variance"])
        while not done.is_set():
            # Silence needs no words of its own: that of the pictures is reported, and not every camera has an IMU.
            with contextlib.suppress(DeviceError):
                self.emit_imu(camera.read_imu(0.2), frame_id, variances)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `realsense`."""
    return run(lambda: [RealSenseNode()], args)


if __name__ == "__main__":
    sys.exit(main())
