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
from imagebind_node.streaming.newest import Newest


class MeasurementInput(Newest):
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
        super().__init__(_stamp, node.now, notify, rate)
        self._node = node
        self.modality = modality
        self.topic = str(source.get("topic") or modality).lstrip("/")
        self._kind, self._read = str(source.get("type")), trusted(source.get("read"))
        self._message_type = message_type(self._kind)

    def open(self) -> None:
        """Subscribe."""
        self.forget()
        self._node.subscription(self._message_type, self.topic, self.put, qos.SENSOR)

    def close(self) -> None:
        """Unsubscribe; the node destroys the subscription."""

    def take(self, max_age: float) -> ArraySample | None:
        """The newest message as a sample, or None; one older than `max_age` s (0: any age) is dropped, not returned.

        Raises InvalidInputError if the message does not hold numbers where it should.
        """
        message = self.take_fresh(max_age)
        if message is None:
            return None
        stamp = _stamp(message)
        data = measurement(Recorded(stamp, self.topic, self._kind, stamp, b"", message), self._read)
        header = getattr(message, "header", None)
        frame_id = "" if header is None else header.frame_id
        return ArraySample(data, self.modality, scalars(message), stamp, frame_id)


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
