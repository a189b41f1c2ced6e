"""Inertial sensors on a serial line (pyserial).

One line of ASCII a measurement, ended by \\n or \\r\\n, numbers separated by commas, spaces around them allowed:

    ax,ay,az,gx,gy,gz              acceleration, then turn rate; the time is that of arrival
    t,ax,ay,az,gx,gy,gz            t: seconds of the sensor's own clock, rising
    ...*HH                         optional: HH is the XOR of all bytes before the asterisk, in hexadecimal

Lines that begin with # and empty lines are ignored. Axes by REP-103: x forward, y left, z up; at rest az = +9.81.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError
from imagebind_node.sensors.base import Clock, ThreadedSensor
from imagebind_node.sensors.device_clock import DeviceClock
from imagebind_node.sensors.inertial import ImuReading, ReadingQueue

ACCELERATION_UNITS = {"m/s^2": 1.0, "g": 9.80665}
TURN_RATE_UNITS = {"rad/s": 1.0, "deg/s": math.pi / 180}
# Without a measurement for this long the sensor counts as lost.
_LOST_SECONDS = 1.0
_POLL_SECONDS = 0.1
_LONGEST_LINE = 256
_BITS_A_BYTE = 10  # start, 8 data, stop


@dataclass(frozen=True, kw_only=True)
class SerialImuConfig:
    """port: such as /dev/ttyUSB0, or a URL of pyserial (socket://host:port). Units: of the numbers in the lines."""

    port: str = "/dev/ttyUSB0"
    baud_rate: int = 115200
    acceleration_unit: str = "m/s^2"
    turn_rate_unit: str = "rad/s"


def _serial() -> Any:
    try:
        import serial
    except ImportError as error:
        raise MissingDependencyError(
            f"a serial IMU needs pyserial ({error}): pip install 'imagebind_node[serial]'"
        ) from None
    return serial


def parse_line(line: bytes) -> tuple[float | None, tuple[float, ...]]:
    """(seconds or None, six numbers) of one line. Raises InvalidInputError if it is malformed."""
    body, asterisk, checksum = line.partition(b"*")
    if asterisk:
        try:
            said = int(checksum, 16)
        except ValueError:
            raise InvalidInputError(f"checksum {checksum[:8]!r} is not hexadecimal") from None
        if said != reduce(xor, body, 0):
            raise InvalidInputError("wrong checksum: noise on the line?")
    try:
        values = tuple(float(word) for word in body.split(b","))
    except ValueError:
        raise InvalidInputError(f"not numbers separated by commas: {line[:60]!r}") from None
    if len(values) not in (6, 7) or not all(math.isfinite(value) for value in values):
        raise InvalidInputError(f"expected 6 or 7 finite numbers, got {line[:60]!r}")
    return (values[0], values[1:]) if len(values) == 7 else (None, values)


class SerialImu(ThreadedSensor[ImuReading]):
    """Delivers every measurement in order; malformed lines are counted (`malformed`) and skipped.

    Stamps are the sensor's own if its lines carry them, moved to our clock by the smallest delay (DeviceClock);
    else the time of arrival, less what the bytes after the line took on the wire.
    """

    def __init__(self, config: SerialImuConfig, clock: Clock = time.time_ns) -> None:
        """Raises MissingDependencyError without pyserial, InvalidInputError for an unknown unit."""
        for unit, known in (
            (config.acceleration_unit, ACCELERATION_UNITS),
            (config.turn_rate_unit, TURN_RATE_UNITS),
        ):
            if unit not in known:
                raise InvalidInputError(f"unknown unit {unit!r}: use {' or '.join(known)}")
        if not config.port.strip() or config.baud_rate <= 0:
            raise InvalidInputError("serial IMU: give a port, such as /dev/ttyUSB0, and a baud rate above 0")
        super().__init__(f"IMU {config.port}")
        self._serial = _serial()
        self.config = config
        self.malformed = 0
        self._clock = clock
        self._readings = ReadingQueue()
        self._device_clock = DeviceClock()
        self._last_stamp = 0

    def read(self, timeout: float = 1.0) -> ImuReading:
        """The next measurement in order; waits up to `timeout` s, then raises DeviceError."""
        return self._readings.get(timeout, self._why_nothing)

    def read_latest(self, max_age: float = 1.0) -> ImuReading:
        """The newest measurement; skips older ones; waits up to `max_age` s. Raises DeviceError if none comes."""
        return self._readings.newest(max_age, self._why_nothing)

    @property
    def dropped(self) -> int:
        """Measurements that nobody read."""
        return self._readings.dropped

    def _why_nothing(self) -> str:
        reason = f": {self.stats.last_error}" if self.stats.last_error else ""
        return f"{self.name} delivers no measurement ({self.stats.state}){reason}"

    def _stream(self, stop: threading.Event) -> bool:
        config = self.config
        try:
            port = self._serial.serial_for_url(config.port, config.baud_rate, timeout=_POLL_SECONDS)
        except (self._serial.SerialException, OSError, ValueError) as error:
            raise DeviceError(f"cannot open {self.name}: {_one_line(error)}") from None
        self.stats.opened += 1
        self._device_clock = DeviceClock()
        try:
            self._read(port, stop)
        except (self._serial.SerialException, OSError) as error:
            raise DeviceError(f"{self.name} was lost: {_one_line(error)}") from None
        finally:
            port.close()
        return True

    def _read(self, port: Any, stop: threading.Event) -> None:
        # What comes before the first end of a line may be half a line.
        buffer, aligned, heard = bytearray(), False, time.monotonic()
        while not stop.is_set():
            buffer += port.read(max(1, port.in_waiting))
            arrival = self._clock()
            *lines, rest = buffer.split(b"\n")
            waiting = len(buffer)
            for line in lines:
                waiting -= len(line) + 1
                if aligned and self._take(bytes(line), arrival - self._wire_time(waiting)):
                    heard = time.monotonic()
                    self.stats.state = "streaming"
                aligned = True
            buffer = bytearray(rest)
            if len(buffer) > _LONGEST_LINE:
                self._count_malformed(f"no end of line within {_LONGEST_LINE} bytes: is baud_rate right?")
                buffer.clear()
            if time.monotonic() - heard > _LOST_SECONDS:
                why = f", last: {self.stats.last_error}" if self.malformed else ""
                raise DeviceError(f"{self.name} stopped delivering measurements{why}")

    def _wire_time(self, count: int) -> int:
        """ns that so many bytes took on the wire."""
        return round(count * _BITS_A_BYTE / self.config.baud_rate * 1e9)

    def _take(self, line: bytes, arrival: int) -> bool:
        line = line.strip()
        if not line or line.startswith(b"#"):
            return False
        try:
            seconds, values = parse_line(line)
        except InvalidInputError as error:
            self._count_malformed(str(error))
            return False
        stamp = arrival if seconds is None else self._device_clock.stamp(round(seconds * 1e9), arrival)
        if seconds is None:
            # Lines that came in one piece keep their order.
            late = 0 < self._last_stamp - stamp < 1_000_000_000
            stamp = self._last_stamp = self._last_stamp + 1000 if late else stamp
        a, g = (
            ACCELERATION_UNITS[self.config.acceleration_unit],
            TURN_RATE_UNITS[self.config.turn_rate_unit],
        )
        ax, ay, az, gx, gy, gz = values
        self._readings.put(ImuReading(stamp, (ax * a, ay * a, az * a), (gx * g, gy * g, gz * g)))
        self.stats.received += 1
        return True

    def _count_malformed(self, why: str) -> None:
        self.malformed += 1
        self.stats.lost += 1
        self.stats.last_error = f"malformed line: {why}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
