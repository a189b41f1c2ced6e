"""What inertial drivers deliver, and two sensors of different rates as one."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from imagebind_node.errors import DeviceError

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class ImuReading:
    """One measurement (REP-145). stamp: ns; acceleration: m/s^2, gravity included; turn_rate: rad/s."""

    stamp: int
    acceleration: Vector
    turn_rate: Vector


class ReadingQueue:
    """Readings in order, from the driver thread to one reader; if nobody reads, the oldest go and are counted."""

    def __init__(self, size: int = 2000) -> None:
        self._queue: queue.Queue[ImuReading] = queue.Queue(size)
        self.dropped = 0

    def put(self, reading: ImuReading) -> None:
        """Append a reading."""
        while True:
            try:
                self._queue.put_nowait(reading)
                return
            except queue.Full:
                self._queue.get_nowait()
                self.dropped += 1

    def get(self, timeout: float, describe: Callable[[], str]) -> ImuReading:
        """The next reading; waits up to `timeout` s, then raises DeviceError with what `describe` says."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            raise DeviceError(describe()) from None

    def newest(self, timeout: float, describe: Callable[[], str]) -> ImuReading:
        """The newest reading; older ones are skipped. Waits and raises as `get`."""
        reading = self.get(timeout, describe)
        while not self._queue.empty():
            reading = self.get(0.0, describe)
        return reading


class UnitedImu:
    """Accelerometer and gyroscope of different rates -> readings at the gyroscope's stamps.

    The acceleration is interpolated linearly between the two measurements around it; a turn rate without such a
    pair within `max_gap` s is not delivered but counted in `dropped`, as are repeated and reordered measurements.
    Thread-safe: the two may come from different threads.
    """

    def __init__(self, max_gap: float = 0.1) -> None:
        self._max_gap = round(max_gap * 1e9)
        self._lock = threading.Lock()
        self._before: tuple[int, Vector] | None = None
        self._waiting: deque[tuple[int, Vector]] = deque()
        self._last_turn = 0
        self.dropped = 0

    def turn_rate(self, stamp: int, value: Vector) -> None:
        """A measurement of the gyroscope: ns, rad/s."""
        with self._lock:
            if self._repeats(stamp, self._last_turn):
                return
            self._last_turn = stamp
            self._waiting.append((stamp, value))
            while stamp - self._waiting[0][0] > self._max_gap:
                self._waiting.popleft()
                self.dropped += 1

    def acceleration(self, stamp: int, value: Vector) -> list[ImuReading]:
        """A measurement of the accelerometer: ns, m/s^2. Returns the readings that it completes."""
        with self._lock:
            if self._before is not None and self._repeats(stamp, self._before[0]):
                return []
            before, self._before = self._before, (stamp, value)
            usable = before is not None and stamp - before[0] <= self._max_gap
            ready = []
            while self._waiting and self._waiting[0][0] <= stamp:
                moment, turn = self._waiting.popleft()
                if before is None or not usable or moment < before[0]:
                    self.dropped += 1
                    continue
                share = (moment - before[0]) / (stamp - before[0])
                x, y, z = (a + share * (b - a) for a, b in zip(before[1], value))
                ready.append(ImuReading(moment, (x, y, z), turn))
            return ready

    def _repeats(self, stamp: int, last: int) -> bool:
        """True for a measurement to drop. One far back is a clock that was set or a recording that started over."""
        if stamp > last:
            return False
        if last - stamp > 1_000_000_000:
            self._waiting.clear()
            self._before = None
            return False
        self.dropped += 1
        return True
