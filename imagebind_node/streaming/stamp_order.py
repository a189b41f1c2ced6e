"""Are the stamps of a stream in order? Tells late and repeated samples from a clock that was set."""

from __future__ import annotations

from enum import Enum

# Stamps that step back by less than this came late or twice; by more, the clock was set back.
_REORDERED_SECONDS = 1.0
# So many late ones in a row, in an order of their own: it is the clock that stepped back a little.
_LATE_IN_A_ROW = 5
# A step ahead of more than this is a clock that was set, not a sensor that paused.
_JUMP_SECONDS = 60.0


class Step(Enum):
    """How a stamp follows the newest one before it."""

    NEXT = "next"
    REPEATED = "repeated"
    REORDERED = "reordered"
    JUMP = "jump"


class StampOrder:
    """Judges stamps one by one and counts what is wrong: `repeated`, `reordered` and clock `jumps`.

    Samples without a stamp (0) are always next. After a jump the order starts anew from there. `dropping` tells
    whether the sample judged last was to be dropped.
    """

    def __init__(self) -> None:
        self.repeated = self.reordered = self.jumps = 0
        self.dropping = False
        self._newest = 0
        self._late, self._late_in_a_row = 0, 0

    @property
    def dropped(self) -> int:
        """Samples that a consumer should not use."""
        return self.repeated + self.reordered

    def judge(self, stamp: int) -> Step:
        """How `stamp` (ns) follows: REPEATED and REORDERED samples are to be dropped."""
        result = self._step(stamp)
        self.dropping = result in (Step.REPEATED, Step.REORDERED)
        return result

    def _step(self, stamp: int) -> Step:
        if stamp <= 0:
            return Step.NEXT
        newest, step = self._newest, (stamp - self._newest) / 1e9
        if newest and step == 0:
            self.repeated += 1
            return Step.REPEATED
        if newest and -_REORDERED_SECONDS < step < 0 and not self._settled(stamp):
            self.reordered += 1
            return Step.REORDERED
        self._newest, self._late, self._late_in_a_row = stamp, 0, 0
        if newest and (step < 0 or step > _JUMP_SECONDS):
            self.jumps += 1
            return Step.JUMP
        return Step.NEXT

    def _settled(self, stamp: int) -> bool:
        """Count a late stamp; True once the late ones are a stream of their own."""
        if stamp != self._late:
            self._late_in_a_row = self._late_in_a_row + 1 if stamp > self._late else 1
        self._late = stamp
        return self._late_in_a_row >= _LATE_IN_A_ROW
