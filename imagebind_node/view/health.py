"""What the nodes say of themselves on /diagnostics, in the few figures that the view shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVELS = {0: "ok", 1: "warn", 2: "error", 3: "stale"}
_LATENCY = "latency p95 (ms)"
_DROPS = ("dropped", "too old")


@dataclass(frozen=True)
class PartHealth:
    """State of one part of a node, such as "encoder: vision". latency: ms, p95; drops: count; None: not told."""

    part: str
    level: str
    message: str
    latency: float | None = None
    drops: float | None = None


def part_health(
    name: str, level: int, message: str, values: Mapping[str, str], namespace: str
) -> PartHealth | None:
    """One diagnostic status as the view shows it; None if it is of a node outside `namespace` (such as "/robot1")."""
    inside = namespace.rstrip("/") + "/"
    if not name.startswith(inside):
        return None
    drops = [count for count in (_number(values.get(key)) for key in _DROPS) if count is not None]
    return PartHealth(
        name.removeprefix(inside),
        LEVELS.get(level, f"level {level}"),
        message,
        _number(values.get(_LATENCY)),
        sum(drops) if drops else None,
    )


def worst_first(parts: Sequence[PartHealth]) -> list[PartHealth]:
    """Errors, then warnings, then the rest, each by name."""
    order = {"ok": 2, "warn": 1}
    return sorted(parts, key=lambda part: (order.get(part.level, 0), part.part))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
