"""Whose turn it is on the encoder: earliest deadline first, on one worker thread, fair when time is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imagebind_node.streaming.statistics import StageTimes

# Of lanes without a rate, such as service calls: before the streams, but not instead of them.
_URGENT_PERIOD = 0.02


@dataclass
class _Lane:
    """One modality's claim: `work` runs at most every `period` seconds, when it has been notified of new data."""

    name: str
    period: float
    tag_period: float
    work: Callable[[], None]
    limit: bool = True
    deadline: float = 0.0
    pending: bool = False
    not_before: float = 0.0
    times: StageTimes = field(default_factory=StageTimes)


class Scheduler:
    """Runs the work of several lanes on one thread, so that inference never blocks an executor.

    A lane that is notified gets the deadline `its last deadline + period`, but at least `period` after the start
    of the work that ran last; the pending lane with the earliest one runs next. Deadlines thus follow the work that
    was done rather than the clock (start-time fair queueing, Goyal et al. 1996): while there is time for everything
    that is the earliest deadline first, and when there is not, every lane gets the same share of its rate and waits for
    a bounded number of others. Work takes the newest data itself (see Mailbox): nothing queues up here.
    """

    def __init__(
        self, on_error: Callable[[str, Exception], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """on_error: called with lane name and exception when work raises; the scheduler then goes on."""
        self._on_error = on_error
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._condition = threading.Condition()
        self._stopping = False
        self._busy = False
        self._now = 0.0  # by which deadlines are set: when the work that ran last was to start
        self._thread: threading.Thread | None = None

    def add(self, name: str, rate: float, work: Callable[[], None], *, limit: bool = True) -> None:
        """Add a lane whose work should run `rate` times a second; 0: whenever there is data, as if at 50 Hz.

        limit: hold work back until its period is over. False where the caller thins its data (RateGate): then
        the rate only sets the deadline, and data that was let in never waits for an idle thread.
        """
        period = 1.0 / rate if rate > 0 else 0.0
        self._lanes[name] = _Lane(name, period, period or _URGENT_PERIOD, work, limit)

    def notify(self, name: str) -> None:
        """Say that new data waits for lane `name`. Cheap; callable from any thread."""
        with self._condition:
            lane = self._lanes[name]
            if not lane.pending:
                if not self._busy and not any(other.pending for other in self._lanes.values()):
                    # Idle: what was done before gives nobody an advantage.
                    self._now = max(self._now, *(other.deadline for other in self._lanes.values()))
                lane.pending = True
                lane.deadline = max(self._now, lane.deadline) + lane.tag_period
                self._condition.notify()

    def times(self, name: str) -> StageTimes:
        """Run times of a lane."""
        return self._lanes[name].times

    def start(self) -> None:
        """Start the worker thread."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the running work, then end the thread. Pending work is forgotten."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for lane in self._lanes.values():
            lane.pending = False

    def _run(self) -> None:
        while True:
            with self._condition:
                lane = self._next()
                while lane is None and not self._stopping:
                    self._condition.wait(self._sleep_time())
                    lane = self._next()
                if self._stopping:
                    return
                assert lane is not None
                lane.pending = False
                self._busy = True
                self._now = max(self._now, lane.deadline - lane.tag_period)
                started = self._clock()
                lane.not_before = started + lane.period if lane.limit else 0.0
            try:
                lane.work()
            except Exception as error:  # noqa: BLE001 - one bad sample must not end the stream; it is reported
                self._on_error(lane.name, error)
            lane.times.add(self._clock() - started)
            with self._condition:
                self._busy = False

    def _next(self) -> _Lane | None:
        now = self._clock()
        due = [lane for lane in self._lanes.values() if lane.pending and lane.not_before <= now]
        return min(due, key=lambda lane: lane.deadline, default=None)

    def _sleep_time(self) -> float | None:
        waits = [lane.not_before for lane in self._lanes.values() if lane.pending]
        return max(0.0, min(waits) - self._clock()) if waits else None
