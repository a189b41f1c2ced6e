"""IMU node: an inertial sensor on a serial line, on `imu/data`.

ros2 run imagebind_node imu --ros-args -p port:=/dev/ttyACM0 -p acceleration_unit:=g -p turn_rate_unit:=deg/s
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from imagebind_node.nodes.driver import IMU_TOPIC, SensorNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import SOURCE
from imagebind_node.sensors.imu import ACCELERATION_UNITS, TURN_RATE_UNITS, SerialImu, SerialImuConfig
from imagebind_node.sensors.inertial import ImuReading

SETTINGS = [
    Setting("port", "/dev/ttyUSB0", "Serial port, or an address such as socket://host:4000.", path=SOURCE),
    Setting("baud_rate", 115200, "Bits a second.", 1, 10_000_000),
    Setting("acceleration_unit", "m/s^2", "Of the numbers in the lines.", choices=tuple(ACCELERATION_UNITS)),
    Setting("turn_rate_unit", "rad/s", "Of the numbers in the lines.", choices=tuple(TURN_RATE_UNITS)),
    Setting("frame_id", "imu_link", "Coordinate frame of the sensor (REP-145)."),
    Setting("acceleration_variance", 0.01, "Noise of the accelerometer, (m/s^2)^2; 0: unknown.", 0.0, 1000.0),
    Setting("turn_rate_variance", 0.01, "Noise of the gyroscope, (rad/s)^2; 0: unknown.", 0.0, 1000.0),
]
_CONFIG = ("port", "baud_rate", "acceleration_unit", "turn_rate_unit")


class ImuNode(SensorNode[SerialImu]):
    """Publishes every measurement in order; survives the loss of the device."""

    def __init__(self, name: str = "imu", **options: Any) -> None:
        super().__init__(name, SETTINGS, [IMU_TOPIC], **options)
        self._labels = ("", (0.0, 0.0))

    def make(self) -> SerialImu:
        # Looked up once, since measurements come by the hundred a second.
        variances = (self.settings["acceleration_variance"], self.settings["turn_rate_variance"])
        self._labels = (self.settings["frame_id"], variances)
        return SerialImu(SerialImuConfig(**{name: self.settings[name] for name in _CONFIG}), self.now)

    def read(self, sensor: SerialImu) -> ImuReading:
        return sensor.read(timeout=1.0)

    def deliver(self, item: ImuReading) -> None:
        self.emit_imu(item, *self._labels)

    def figures(self) -> dict[str, object]:
        return (
            {"malformed lines": self.sensor.malformed, "unread": self.sensor.dropped} if self.sensor else {}
        )


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `imu`."""
    return run(lambda: [ImuNode()], args)


if __name__ == "__main__":
    sys.exit(main())
