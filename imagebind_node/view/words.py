"""What the view says in words, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imagebind_node.view.found import Found
from imagebind_node.view.health import PartHealth, worst_first


def query_text(confidences: Mapping[str, float], found: Sequence[Found]) -> str:
    """What is searched for, by label with its confidence, and what was found."""
    if not confidences:
        return "# Listening\n\nNothing is searched for: no sound is clear enough, and no query is pinned."
    lines = ["# " + ", ".join(_escape(label) for label in confidences), ""]
    lines += [f"- cue *{_escape(label)}*, confidence {value:.2f}" for label, value in confidences.items()]
    lines += ["", "| found | score | id |", "|---|---|---|"] if found else ["", "Not found in the picture."]
    lines += [f"| {_escape(f.label)} | {f.score:.2f} | {_escape(f.track)} |" for f in found]
    return "\n".join(lines)


def health_text(parts: Sequence[PartHealth]) -> str:
    """A table, the worst first."""
    rows = [f"| {_escape(p.part)} | {p.level} | {_escape(p.message)} |" for p in worst_first(parts)]
    return "\n".join(["| part | level | says |", "|---|---|---|", *rows])


def _escape(text: str) -> str:
    # Labels come from the network: they shall not become links or tables.
    cleaned = "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+-!|~" else c for c in text)
    return " ".join(cleaned.split())
