"""The newest item of a stream: late, repeated and too frequent ones are left out and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagebind_node.streaming.mailbox import Mailbox
from imagebind_node.streaming.rate_gate import RateGate
from imagebind_node.streaming.stamp_order import StampOrder, Step
from imagebind_node.streaming.statistics import RateMeter

STAMPS_STAND = "its stamps repeat or step back"


class Newest:
    """Keeps the newest admitted item until `take_fresh`. `put` may be called on another thread."""

    def __init__(
        self,
        stamp_of: Callable[[Any], int],
        now: Callable[[], int],
        notify: Callable[[], None],
        rate: float,
    ) -> None:
        """stamp_of: ns of an item, 0 if it has none; now: ns on the stamps' clock; notify: called for each admitted
        item; rate: items a second at most, 0 for all."""
        self.gate = RateGate(rate)
        self.order = StampOrder()
        self.arrivals = RateMeter()
        self.stale = 0
        self._stamp_of, self._now, self._notify = stamp_of, now, notify
        self._mailbox: Mailbox[Any] = Mailbox()

    @property
    def received(self) -> int:
        """Items that came."""
        return self._mailbox.received + self.gate.refused + self.order.dropped

    @property
    def dropped(self) -> int:
        """Items that a newer one replaced before they were used, above the target rate, repeated or out of order."""
        return self._mailbox.dropped + self.gate.refused + self.order.dropped

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {
            "repeated": self.order.repeated,
            "out of order": self.order.reordered,
            "clock jumps": self.order.jumps,
        }

    def dropping(self) -> str:
        """Why what came last was left out for its stamp; empty if it was not."""
        return STAMPS_STAND if self.order.dropping else ""

    def put(self, item: Any) -> None:
        """Take an item in."""
        self.arrivals.tick()
        if self.order.judge(self._stamp_of(item)) in (Step.REPEATED, Step.REORDERED):
            return
        if self.gate.admit():
            self._mailbox.put(item)
            self._notify()

    def forget(self) -> None:
        """Let go of an item that waits."""
        self._mailbox.take()

    def take_fresh(self, max_age: float) -> Any:
        """The newest item, or None; one older than `max_age` s (0: any age) is dropped, not returned."""
        item = self._mailbox.take()
        if item is None:
            return None
        stamp = self._stamp_of(item)
        if max_age > 0 and stamp > 0 and self._now() - stamp > max_age * 1e9:
            self.stale += 1
            return None
        return item
