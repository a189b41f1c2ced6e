"""Publishes on /diagnostics what a node knows about its own health, once a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass
class Report:
    """State of one part of a node: level, one line, and figures."""

    level: bytes = OK
    message: str = "ok"
    values: Mapping[str, object] = field(default_factory=dict)


class Diagnostics:
    """Collects reports from `add`ed sources and publishes them at 1 Hz, in every lifecycle state."""

    def __init__(self, node: ManagedNode, hardware_id: str = "") -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._sources: dict[str, Callable[[], Report]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.timer(1.0, self.publish)

    def add(self, name: str, source: Callable[[], Report]) -> None:
        """Ask `source` for a report every second, under `<node>: <name>`."""
        self._sources[name] = source

    def remove(self, name: str) -> None:
        """Stop asking the source `name`."""
        self._sources.pop(name, None)

    def publish(self) -> None:
        """Publish now."""
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        for name, source in list(self._sources.items()):
            report = source()
            array.status.append(
                DiagnosticStatus(
                    level=report.level,
                    name=f"{self._node.get_fully_qualified_name()}: {name}",
                    message=report.message,
                    hardware_id=self._hardware_id,
                    values=[KeyValue(key=key, value=_text(value)) for key, value in report.values.items()],
                )
            )
        self._publisher.publish(array)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)
