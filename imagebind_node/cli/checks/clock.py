"""The machine's clock: is it kept in step, does it jump?"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import time
from collections.abc import Iterator

from imagebind_node.cli.checks import Finding, State

_JUMP_SECONDS = 0.02
# adjtimex(2): return value for a clock that nothing keeps in step; size of struct timex with room to spare.
_TIME_ERROR = 5
_TIMEX_BYTES = 512


def check_synchronised() -> Iterator[Finding]:
    """Whether the kernel says that the clock is kept in step."""
    state = _adjtimex()
    if state is None:
        return
    if state == _TIME_ERROR:
        yield Finding(
            "clock",
            State.MISSING,
            "nothing keeps the clock in step: samples stamped by other computers may count as too old",
            "on a robot of several computers: apt-get install chrony; on one computer none is needed",
        )
    else:
        yield Finding("clock", State.OK, "the clock is kept in step (NTP or PTP)")


class JumpWatch:
    """Compares the machine's clock with the steady one from its making on."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def finding(self) -> Finding:
        """Whether the clock was set meanwhile."""
        jump = time.time() - time.monotonic() - self._offset
        if abs(jump) <= _JUMP_SECONDS:
            return Finding("clock", State.OK, "the clock did not jump while this looked")
        return Finding(
            "clock",
            State.BROKEN,
            f"the clock was set by {jump:+.3f} s while this looked: samples are dropped as too old or too new",
            "let chrony or PTP slew it instead of stepping it (chrony: makestep 1 3)",
        )


def _adjtimex() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        # All zero: only ask.
        return int(
            ctypes.CDLL(ctypes.util.find_library("c")).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        )
    except (OSError, AttributeError):
        return None
