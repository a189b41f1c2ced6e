"""Sound whose messages carry no count of their frames: its place in the stream told from the stamps."""

from __future__ import annotations

from imagebind_node.sensors.sample_clock import SampleClock

# A later stamp than this is a clock that was set, not lost sound.
_LONGEST_LOSS_SECONDS = 60.0


class UncountedAudio:
    """Gives blocks a sequence and even stamps.

    Drivers that stamp with the time of their system call jitter by milliseconds, so the stamps go through the loop
    of SampleClock. What it cannot follow, more than 0.1 s, counts as lost sound; a shorter loss goes unnoticed.
    """

    def __init__(self) -> None:
        self._clock: SampleClock | None = None
        self._rate = 0
        self._expected = 0
        self._measured = 0
        self._stamp = 0
        self._sequence = 0
        self._next = 0

    def place(self, measured: int, frames: int, rate: int) -> tuple[int, int]:
        """(stamp in ns, index) of the first frame of a block. measured: its stamp as it came, ns; rate: Hz.

        A block of the very same stamp as the one before gets its index again, which marks it as repeated.
        """
        if self._clock is None or rate != self._rate:
            self._clock, self._rate = SampleClock(rate), rate
        elif measured == self._measured:
            return self._stamp, self._sequence
        restarts = self._clock.restarts
        self._stamp = self._clock.stamp(measured, frames)
        gap = (measured - self._expected) / 1e9
        if self._clock.restarts > restarts >= 0 and 0 < gap < _LONGEST_LOSS_SECONDS:
            self._next += round(gap * rate)
        self._measured = measured
        self._expected = self._stamp + round(frames / rate * 1e9)
        self._sequence, self._next = self._next, self._next + frames
        return self._stamp, self._sequence
