"""One topic of a sense that was bound: messages of any type, newest only, as the pairs of its training were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from imagebind_node.binding.measurements import measurement, scalars
from imagebind_node.binding.plugins import ENVIRONMENT, plugin_modules
from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import to_nanoseconds
from imagebind_node.samples import ArraySample, Modality
from imagebind_node.sensors.bag import Recorded
from imagebind_node.streaming.mailbox import Mailbox
from imagebind_node.streaming.rate_gate import RateGate
from imagebind_node.streaming.stamp_order import StampOrder, Step
from imagebind_node.streaming.statistics import RateMeter


class MeasurementInput:
    """Subscribes to the topic that the card's `input` names, made relative so that it can be remapped."""

    def __init__(
        self,
        node: ManagedNode,
        modality: Modality,
        source: Mapping[str, Any],
        notify: Callable[[], None],
        *,
        rate: float,
    ) -> None:
        """source: `topic`, `type` (pkg/msg/Type) and `read` (see `measurement`). rate: messages a second at most, 0 for
        all. Raises InvalidInputError if the type is not installed."""
        self._node = node
        self.modality = modality
        self.topic = str(source.get("topic") or modality).lstrip("/")
        self._kind, self._read = str(source.get("type")), trusted(source.get("read"))
        self._message_type = message_type(self._kind)
        self.gate = RateGate(rate)
        self.order = StampOrder()
        self.arrivals = RateMeter()
        self.stale = 0
        self._notify = notify
        self._mailbox: Mailbox[Any] = Mailbox()

    def open(self) -> None:
        """Subscribe."""
        self._mailbox.take()
        self._node.subscription(self._message_type, self.topic, self._put, qos.SENSOR)

    def close(self) -> None:
        """Unsubscribe; the node destroys the subscription."""

    @property
    def received(self) -> int:
        """Messages that came."""
        return self._mailbox.received + self.gate.refused + self.order.dropped

    @property
    def dropped(self) -> int:
        """Messages that a newer one replaced, above the target rate, repeated or out of order."""
        return self._mailbox.dropped + self.gate.refused + self.order.dropped

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {
            "repeated": self.order.repeated,
            "out of order": self.order.reordered,
            "clock jumps": self.order.jumps,
        }

    def take(self, max_age: float) -> ArraySample | None:
        """The newest message as a sample, or None; one older than `max_age` s (0: any age) is dropped, not returned.

        Raises InvalidInputError if the message does not hold numbers where it should.
        """
        message = self._mailbox.take()
        if message is None:
            return None
        stamp = _stamp(message)
        if max_age > 0 and stamp > 0 and self._node.now() - stamp > max_age * 1e9:
            self.stale += 1
            return None
        data = measurement(Recorded(stamp, self.topic, self._kind, stamp, b"", message), self._read)
        header = getattr(message, "header", None)
        frame_id = "" if header is None else header.frame_id
        return ArraySample(data, self.modality, scalars(message), stamp, frame_id)

    def _put(self, message: Any) -> None:
        self.arrivals.tick()
        stamp = _stamp(message)
        if stamp and self.order.judge(stamp) in (Step.REPEATED, Step.REORDERED):
            return
        if self.gate.admit():
            self._mailbox.put(message)
            self._notify()


def trusted(read: Any) -> str | None:
    """`read` of a card. A card is data: of functions, only those of plugins are called. Raises InvalidInputError."""
    if read is not None and (not isinstance(read, str) or (":" in read)):
        module = str(read).partition(":")[0]
        if module not in plugin_modules():
            raise InvalidInputError(
                f"the card of a bound tower asks for the code {str(read)[:80]!r}: if you trust it, name its module "
                f"in {ENVIRONMENT}"
            )
    return read


def message_type(name: str) -> type:
    """`sensor_msgs/msg/LaserScan` -> its class. Raises InvalidInputError if it is not installed."""
    package, _, kind = name.partition("/msg/")
    if not (package.isidentifier() and kind.isidentifier()):
        raise InvalidInputError(f"{name!r} is no message type: write package/msg/Type")
    try:
        found = getattr(import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInputError(f"message type {name!r} is not installed: {error}") from None
    return found


def _stamp(message: Any) -> int:
    """0 for types without a header: then nobody knows when it was measured."""
    header = getattr(message, "header", None)
    return 0 if header is None else to_nanoseconds(header.stamp)
