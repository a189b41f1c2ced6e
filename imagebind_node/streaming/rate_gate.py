"""Thins a stream to a target rate without making anything wait."""

from __future__ import annotations

import time
from collections.abc import Callable

# How many items may pass early, so that a camera at just the target rate passes whole in spite of its jitter.
_BURST = 1.5


class RateGate:
    """A token bucket: admits `rate` items a second on average and refuses the others at once.

    Refusing beats delaying: an item that waits for its turn is old when it is used, and at a camera rate a little
    above the target the wait grows to a whole period.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """rate: items a second, 0 for no limit."""
        self.rate = rate
        self.refused = 0
        self._clock = clock
        self._credit = _BURST
        self._last = clock()

    def admit(self) -> bool:
        """True if the item that has just come may pass."""
        if self.rate <= 0:
            return True
        now = self._clock()
        self._credit = min(_BURST, self._credit + (now - self._last) * self.rate)
        self._last = now
        if self._credit < 1.0 - 1e-6:
            self.refused += 1
            return False
        self._credit -= 1.0
        return True
