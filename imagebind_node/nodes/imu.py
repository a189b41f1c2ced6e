"""IMU node: an inertial sensor on a serial line, on `imu/data`.

ros2 run imagebind_node imu --ros-args -p port:=/dev/ttyACM0 -p acceleration_unit:=g -p turn_rate_unit:=deg/s
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

from imagebind_node.nodes.driver import IMU_TOPIC, DriverNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import SOURCE
from imagebind_node.sensors.base import SensorStats
from imagebind_node.sensors.imu import ACCELERATION_UNITS, TURN_RATE_UNITS, SerialImu, SerialImuConfig

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


class ImuNode(DriverNode):
    """Publishes every measurement in order; survives the loss of the device."""

    def __init__(self, name: str = "imu", **options: Any) -> None:
        super().__init__(name, SETTINGS, [IMU_TOPIC], **options)
        self._imu: SerialImu | None = None

    def configure(self) -> None:
        config = SerialImuConfig(**{name: self.settings[name] for name in _CONFIG})
        self._imu = SerialImu(config, self.now)
        super().configure()

    def cleanup(self) -> None:
        super().cleanup()
        self._imu = None

    def drive(self, stop: threading.Event) -> None:
        imu = self._imu
        assert imu is not None
        frame_id = self.settings["frame_id"]
        variances = (self.settings["acceleration_variance"], self.settings["turn_rate_variance"])
        with imu:
            while not stop.is_set():
                self.emit_imu(imu.read(timeout=1.0), frame_id, variances)

    def stats(self) -> SensorStats | None:
        return self._imu.stats if self._imu else None

    def figures(self) -> dict[str, object]:
        return {"malformed lines": self._imu.malformed, "unread": self._imu.dropped} if self._imu else {}


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `imu`."""
    return run(lambda: [ImuNode()], args)


if __name__ == "__main__":
    sys.exit(main())
