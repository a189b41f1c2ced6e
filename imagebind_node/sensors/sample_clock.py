"""The time of every sound sample on the system's clock, from jittery block times."""

from __future__ import annotations

import math

# Bandwidth of the loop in Hz: block times jitter by milliseconds, sound cards drift by seconds a day.
_BANDWIDTH = 0.1
# A block that is off by more than this restarts the loop: the clock jumped or the device slept.
_JUMP_SECONDS = 0.1


class SampleClock:
    """Delay-locked loop of second order (F. Adriaensen, Using a DLL to filter time, 2005).

    Smooths the measured times of blocks and follows the true rate of the sound card, so that stamps of successive
    blocks are as regular as the samples themselves.
    """

    def __init__(self, sample_rate: float) -> None:
        self._nominal = 1e9 / sample_rate
        self._period = self._nominal
        self._next: float | None = None
        self.restarts = -1

    def stamp(self, measured: int, frames: int) -> int:
        """Filtered time of the first frame of a block of `frames`, ns; `measured`: the device's own estimate, ns."""
        if self._next is None or abs(measured - self._next) > _JUMP_SECONDS * 1e9:
            self.restarts += 1
            self._period = self._nominal
            self._next = measured + frames * self._period
            return measured
        omega = 2 * math.pi * _BANDWIDTH * frames * self._nominal * 1e-9
        error = measured - self._next
        stamp = self._next
        self._next += math.sqrt(2) * omega * error + frames * self._period
        self._period += omega * omega * error / frames
        return round(stamp)
