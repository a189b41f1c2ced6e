"""Running figures of a stream: how often, how long, how old."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class StageTimes:
    """The last few hundred durations of one stage, for percentiles in diagnostics."""

    def __init__(self, keep: int = 512) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=keep)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Record one duration."""
        with self._lock:
            self._seconds.append(seconds)
            self.count += 1

    def percentile(self, q: float) -> float:
        """The `q`th percentile (0 to 100) in seconds of what is kept, interpolated; NaN if nothing is."""
        with self._lock:
            kept = sorted(self._seconds)
        if not kept:
            return float("nan")
        # np.percentile would take four times as long for so few, and every node asks for several each second.
        place = q / 100 * (len(kept) - 1)
        low = int(place)
        high = min(low + 1, len(kept) - 1)
        return kept[low] + (place - low) * (kept[high] - kept[low])


class RateMeter:
    """Events a second over a sliding window."""

    def __init__(self, window: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=10_000)
        self._first: float | None = None

    def tick(self) -> None:
        """Count one event now."""
        with self._lock:
            now = self._clock()
            self._first = now if self._first is None else self._first
            self._times.append(now)

    def rate(self) -> float:
        """Events a second over the last window."""
        with self._lock:
            now = self._clock()
            while self._times and now - self._times[0] > self._window:
                self._times.popleft()
            return len(self._times) / self._window

    def whole(self) -> bool:
        """True once the first event lies a whole window back: only then does a low rate mean something."""
        return self._first is not None and self._clock() - self._first > self._window

    def age(self) -> float:
        """Seconds since the last event; infinite if there was none in the window."""
        with self._lock:
            return self._clock() - self._times[-1] if self._times else float("inf")
