"""Thermal node: a 16-bit thermal camera or recording on `thermal/image_raw`.

ros2 run imagebind_node thermal --ros-args -p source:=2 -p crop_bottom:=2 -p kelvin_per_count:=0.01
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from imagebind_node.nodes.driver import THERMAL_TOPIC, SensorNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import SOURCE
from imagebind_node.samples import ThermalSample
from imagebind_node.sensors.thermal import ThermalCamera, ThermalConfig

SETTINGS = [
    Setting(
        "source", "0", "Device number, device path, 16-bit video or image sequence (%04d.png).", path=SOURCE
    ),
    Setting(
        "width", 0, "Pixels to ask a device for, telemetry rows included as height; 0: its own.", 0, 16384
    ),
    Setting("height", 0, "Pixels to ask a device for; 0: its own.", 0, 16384),
    Setting(
        "fps", 0.0, "Frames a second to ask a device for, or to play a file at; 0: its own.", 0.0, 1000.0
    ),
    Setting("loop", False, "Start a file over at its end."),
    Setting("crop_top", 0, "Rows of telemetry above the picture.", 0, 64),
    Setting("crop_bottom", 0, "Rows of telemetry below the picture.", 0, 64),
    Setting("kelvin_per_count", 0.0, "Kelvin a count (TLinear: 0.01 or 0.1); 0: no temperatures.", 0.0, 10.0),
    Setting("kelvin_offset", 0.0, "Kelvin of count 0.", -1000.0, 1000.0),
    Setting(
        "encoding",
        "mono16",
        "mono16 or 16UC1: counts, centikelvin with kelvin_per_count; 32FC1: kelvin.",
        choices=("mono16", "16UC1", "32FC1"),
    ),
    Setting("frame_id", "thermal_optical_frame", "Coordinate frame of the pictures (REP-105)."),
    Setting("read_timeout", 1.0, "Seconds without a picture that count as an error.", 0.1, 60.0, live=True),
]
_NODE_ONLY = ("encoding", "read_timeout")


class ThermalNode(SensorNode[ThermalCamera]):
    """Publishes thermal pictures with their time of capture; survives the loss of the device."""

    def __init__(self, name: str = "thermal", **options: Any) -> None:
        super().__init__(name, SETTINGS, [THERMAL_TOPIC], **options)

    def make(self) -> ThermalCamera:
        values = {s.name: self.settings[s.name] for s in SETTINGS if s.name not in _NODE_ONLY}
        config = ThermalConfig(**values, as_kelvin=self.settings["encoding"] == "32FC1")
        return ThermalCamera(config, self.now)

    def deliver(self, item: ThermalSample) -> None:
        self.emit_picture(THERMAL_TOPIC, item, self.settings["encoding"])


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `thermal`."""
    return run(lambda: [ThermalNode()], args)


if __name__ == "__main__":
    sys.exit(main())
