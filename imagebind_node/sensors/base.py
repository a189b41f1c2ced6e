"""What every sensor driver offers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from imagebind_node.errors import DeviceError, ImagebindNodeError

S = TypeVar("S")
Delivered = TypeVar("Delivered", covariant=True)
Clock = Callable[[], int]
"""Returns nanoseconds of the clock that stamps samples."""


@dataclass
class SensorStats:
    """Counters of a driver since it was made. `state`: closed, opening, streaming, lost or ended."""

    state: str = "closed"
    received: int = 0
    lost: int = 0
    """Samples that the device or its buffers dropped, where that can be told."""
    opened: int = 0
    """How often the device was opened; 2 or more means that it came back after a loss."""
    last_error: str = ""


class Sensor(Protocol[Delivered]):
    """A device, file or stream that delivers samples; usable as a context manager.

    `open` returns without waiting for the device: a driver thread opens it, and opens it again with growing
    pauses whenever it is lost. `stats.state` says how that goes.
    """

    name: str
    """What messages call it."""
    stats: SensorStats

    def open(self) -> None:
        """Start the driver. Opening an open sensor does nothing."""

    def read_latest(self, max_age: float) -> Delivered:
        """The newest sample if it is at most `max_age` s old and was not read before; waits up to `max_age` s.

        Raises DeviceError if none comes in that time.
        """

    def close(self) -> None:
        """Stop and release the device. Never raises and never blocks for long, whatever state the device is in."""

    def __enter__(self) -> Any:
        """`open`; returns the sensor."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """`close`."""


@dataclass
class BackOff:
    """Growing pauses between attempts to open a device."""

    first: float = 0.25
    largest: float = 1.0
    _next: float = field(default=0.0, init=False)

    def reset(self) -> None:
        """After a success: start small again."""
        self._next = 0.0

    def wait(self, stop: threading.Event) -> bool:
        """Sleep for the next pause; True if `stop` was set meanwhile."""
        self._next = min(self.largest, self._next * 2 or self.first)
        return stop.wait(self._next)


class LatestSlot(Generic[S]):
    """Hands the newest sample from the driver thread to `read_latest`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: tuple[S, float] | None = None

    def put(self, sample: S) -> None:
        """Leave a sample in place of an unread one."""
        with self._condition:
            self._item = sample, time.monotonic()
            self._condition.notify_all()

    def take(self, max_age: float, describe: Callable[[], str]) -> S:
        """See `Sensor.read_latest`; `describe` says why there may be none."""
        deadline = time.monotonic() + max_age
        with self._condition:
            while True:
                if self._item is not None and time.monotonic() - self._item[1] <= max_age:
                    sample, self._item = self._item[0], None
                    return sample
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise DeviceError(describe())
                self._condition.wait(rest)


class ThreadedSensor(Generic[S]):
    """Base of drivers that run a thread: subclasses write `_stream`, which opens, delivers and releases."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stats = SensorStats()
        self.back_off = BackOff()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the driver thread."""
        if self._thread is None:
            # One of its own: a thread that a dead device kept beyond `close` must still end once it comes back.
            self._stop = threading.Event()
            self.stats.state = "opening"
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def close(self, timeout: float = 3.0) -> None:
        """Ask the driver thread to end and wait for it, at most `timeout` s: a dead device may never return."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None
        self.stats.state = "closed"

    def __enter__(self) -> ThreadedSensor[S]:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, stop: threading.Event) -> bool:
        """Open the device and deliver until it ends (return False) or `stop` is set (return True).

        Raises DeviceError when the device cannot be opened or is lost. Whatever is raised is reported in `stats`.
        """
        raise NotImplementedError

    def _run(self) -> None:
        stop = self._stop
        while not stop.is_set():
            opened = self.stats.opened
            try:
                finished = not self._stream(stop)
            except Exception as error:  # noqa: BLE001 - without this thread nobody would try again; it is reported
                finished = False
                unforeseen = "" if isinstance(error, ImagebindNodeError) else f"{type(error).__name__}: "
                self.stats.last_error = unforeseen + " ".join(str(error).split())
                self.stats.state = "lost"
            if finished:
                self.stats.state = "ended"
                return
            if self.stats.opened > opened:
                self.back_off.reset()
            if not stop.is_set() and self.back_off.wait(stop):
                return
