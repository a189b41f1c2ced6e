"""Camera node: an OpenCV device, file or stream on `camera/image_raw`, its calibration on `camera/camera_info`.

ros2 run imagebind_node camera --ros-args -p source:=0 -p fps:=15.0
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.driver import CAMERA_INFO_TOPIC, CAMERA_TOPIC, SensorNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import READ, SOURCE
from imagebind_node.samples import ImageSample
from imagebind_node.sensors.calibration import read_calibration
from imagebind_node.sensors.camera import Camera, CameraConfig
from imagebind_node.sensors.camera_model import CameraModel

SETTINGS = [
    Setting(
        "source",
        "0",
        "Device number, device path, video file, image sequence (%04d.png) or URL.",
        path=SOURCE,
    ),
    Setting("width", 0, "Pixels to ask a device for; 0: its own.", 0, 16384),
    Setting("height", 0, "Pixels to ask a device for; 0: its own.", 0, 16384),
    Setting(
        "fps", 0.0, "Frames a second to ask a device for, or to play a file at; 0: its own.", 0.0, 1000.0
    ),
    Setting("loop", False, "Start a file over at its end."),
    Setting(
        "calibration",
        "",
        "Calibration file (YAML of camera_calibration), published as camera/camera_info; empty: none.",
        path=READ,
    ),
    Setting("frame_id", "camera_optical_frame", "Coordinate frame of the pictures (REP-105)."),
    Setting("read_timeout", 1.0, "Seconds without a picture that count as an error.", 0.1, 60.0, live=True),
]


class CameraNode(SensorNode[Camera]):
    """Publishes pictures with their time of capture; survives the loss of the device."""

    def __init__(self, name: str = "camera", **options: Any) -> None:
        super().__init__(name, SETTINGS, [CAMERA_TOPIC, CAMERA_INFO_TOPIC], **options)
        self._geometry: CameraModel | None = None

    def configure(self) -> None:
        file = self.settings["calibration"]
        self._geometry = read_calibration(file) if file else None
        super().configure()

    def make(self) -> Camera:
        names = ("source", "width", "height", "fps", "loop", "frame_id")
        return Camera(CameraConfig(**{name: self.settings[name] for name in names}), self.now)

    def deliver(self, item: ImageSample) -> None:
        self.emit_picture(CAMERA_TOPIC, item)
        if self._geometry is None:
            return
        height, width = item.data.shape[:2]
        if (width, height) == (self._geometry.width, self._geometry.height):
            self.emit_info(CAMERA_INFO_TOPIC, self._geometry, item.stamp, item.frame_id)
        else:
            size = f"{self._geometry.width}x{self._geometry.height}"
            wrong = f"pictures are {width}x{height}, the camera was calibrated at {size}: set width and height to that"
            self.errors.add("driver", InvalidInputError(wrong))


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `camera`."""
    return run(lambda: [CameraNode()], args)


if __name__ == "__main__":
    sys.exit(main())
