"""What `doctor` looks at: one kind of finding a file, each with its mend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """OK: works. MISSING: an optional part is absent. BROKEN: something that is needed does not work."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """`needed`: the embedded default cannot work without it, so that doctor exits with 1 if it is broken."""

    area: str
    state: State
    what: str
    mend: str = ""
    needed: bool = False
