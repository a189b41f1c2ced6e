"""Inertial measurements one by one, into windows that slide."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImuSample
from imagebind_node.streaming.stamp_order import StampOrder, Step


class ImuStream:
    """The newest `window` seconds of measurements of any rate, and whether `hop` s of new ones are there.

    After a start the first window is due once it holds `first` s; it grows until it is whole.
    A measurement that repeats a stamp or comes after a later one is dropped (counted in `order`). A pause longer
    than `max_gap` starts the window afresh, since interpolating over it would show a motion that never was (`gaps`,
    `lost_seconds`); so does a clock that jumps either way. Thread-safe.
    """

    def __init__(
        self,
        window: float,
        hop: float,
        *,
        first: float | None = None,
        max_gap: float = 0.1,
        max_rate: float = 2000.0,
    ) -> None:
        """window, hop, first, max_gap: seconds, first by default the whole window.

        max_rate: measurements a second that are kept room for.
        """
        self._window, self._hop, self._max_gap = window, hop, max_gap
        self._first = window if first is None else first
        self._lock = threading.Lock()
        # One more than the window, so that its first grid point lies between two measurements.
        self._rows: deque[tuple[int, Sequence[float]]] = deque(
            maxlen=round(max_rate * (window + max_gap)) + 2
        )
        self._next_due = 0
        self.order = StampOrder()
        self.gaps = self.skipped_hops = 0
        self.lost_seconds = 0.0

    def push(self, stamp: int, values: Sequence[float]) -> bool:
        """Append one measurement: ns; acceleration x, y, z in m/s^2, turn rate x, y, z in rad/s.

        Returns True if a window is due. Raises InvalidInputError without a stamp.
        """
        if stamp <= 0:
            raise InvalidInputError("IMU measurement without a time stamp: let the driver set header.stamp")
        with self._lock:
            step = self.order.judge(stamp)
            if step in (Step.REPEATED, Step.REORDERED):
                return False
            if self._rows:
                pause = (stamp - self._rows[-1][0]) / 1e9
                if step is Step.JUMP:
                    self._rows.clear()
                elif pause > self._max_gap:
                    self.gaps += 1
                    self.lost_seconds += pause
                    self._rows.clear()
            if not self._rows:
                self._next_due = stamp + round(self._first * 0.999e9)
            self._rows.append((stamp, values))
            oldest = stamp - round((self._window + self._max_gap) * 1e9)
            while self._rows[0][0] < oldest:
                self._rows.popleft()
            return stamp >= self._next_due

    def next_window(self, frame_id: str = "") -> ImuSample | None:
        """The newest window if one is due, else None; its stamp is that of the last measurement."""
        with self._lock:
            if len(self._rows) < 2 or self._rows[-1][0] < self._next_due:
                return None
            last = self._rows[-1][0]
            hop = round(self._hop * 1e9)
            # Hops that nobody fetched while inference was busy are gone; the newest counts.
            missed = (last - self._next_due) // hop
            self.skipped_hops += missed
            self._next_due += (missed + 1) * hop
            rows = list(self._rows)
        start = rows[0][0]
        times = np.array([stamp - start for stamp, _ in rows], np.float64) / 1e9
        return ImuSample(np.array([values for _, values in rows], np.float32), times, last, frame_id)
