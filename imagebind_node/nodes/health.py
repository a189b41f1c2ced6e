"""What the nodes of a running graph say of themselves on /diagnostics, as findings with their mends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from imagebind_node.cli.checks import Finding, State
from imagebind_node.nodes.diagnostics import OK

# Part of a message of ours -> what to do.
MENDS = {
    "has fallen silent": "is its publisher still running, and its device plugged in? ros2 topic info -v TOPIC",
    "do the clocks agree": "synchronise the clocks of the computers (chrony or PTP), or raise max_age",
    "stamps repeat or step back": "let the driver stamp each message with its time of capture",
    "does not count the frames": "let the driver count: sequence + frames of this block = sequence of the next",
    "can be used": "publish one of the encodings in docs/nodes.md, or remap the input to another topic",
    "very same picture": "unless it is a still one: restart the camera's driver, or plug it in again",
    "no embeddings come": "start or activate the encoder: ros2 lifecycle get /encoder",
    "faster than the disk": "raise `novelty`, or remember fewer modalities (`remembered`), or take a faster disk",
    "disk": "make room on the disk, or give the memory another `directory`",
    "opening": "the device is not there yet: see the devices above",
    "ended": "the file has been played to its end: set `loop` to play it again",
}
_DRIVER = "plug the device in, or correct the parameter that names it: it is tried again by itself"
_ELSE = "the message says what was wrong; the log of that node has more"
_COUNTERS = {"clock jumps": "keep clocks in step (chrony or PTP); a recording that starts over jumps as well"}


def findings_of(statuses: Iterable[Any]) -> Iterator[Finding]:
    """Findings of the newest diagnostic_msgs/DiagnosticStatus of each name; none for what is well."""
    newest = {status.name: status for status in statuses}
    parts: dict[str, set[str]] = {}
    for name, status in newest.items():
        node, _, part = name.partition(": ")
        parts.setdefault(node, set()).add(status.message if part != "qos" else "")
    for node, messages in sorted(parts.items()):
        # A node that is not configured has nothing but its endpoints to tell of.
        if messages == {""} or "inactive" in messages:
            step = "activate" if "inactive" in messages else "configure"
            mend = f"ros2 lifecycle set {node} {step}, or start it with autostart:=true"
            yield Finding("nodes", State.MISSING, f"{node} is not active", mend)
    for name, status in sorted(newest.items()):
        # Pairs that do not fit are found by looking at the graph itself, also those of other packages.
        if name.endswith(": qos"):
            continue
        if status.level != OK:
            text = f"{name}: {status.message}"
            otherwise = _DRIVER if name.endswith(": driver") else _ELSE
            yield Finding("nodes", State.BROKEN, text, mend_of(status.message, otherwise))
        values = {pair.key: pair.value for pair in status.values}
        for counter, mend in _COUNTERS.items():
            if values.get(counter, "0") not in ("", "0"):
                yield Finding("nodes", State.BROKEN, f"{name}: {values[counter]} {counter}", mend)


def mend_of(message: str, otherwise: str = _ELSE) -> str:
    """What to do about a message of /diagnostics."""
    return next((mend for part, mend in MENDS.items() if part in message), otherwise)
