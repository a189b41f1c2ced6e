"""Errors of a stream: every one counted, few of them logged."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable

from imagebind_node.errors import ImagebindNodeError

PERIOD = 5.0
LINES_PER_PERIOD = 10


class ErrorLog:
    """Counts errors a source and logs the same line at most every `PERIOD` seconds. Thread-safe enough for counts."""

    def __init__(self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._logged: dict[tuple[str, str], float] = {}
        self.counts: Counter[str] = Counter()
        self.last: dict[str, str] = {}

    def add(self, source: str, error: Exception) -> None:
        """Count an error of `source`, and log it in one line; one that nobody foresaw with its traceback."""
        text = " ".join(str(error).split()) or type(error).__name__
        self.counts[source] += 1
        self.last[source] = text
        now = self._clock()
        recent = {key: when for key, when in self._logged.items() if now - when < PERIOD}
        if (source, text) not in recent and len(recent) < LINES_PER_PERIOD:
            recent[source, text] = now
            if not isinstance(error, ImagebindNodeError):
                trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
                text = f"{type(error).__name__}: {text}\n{trace}"
            self._log(f"{source}: {text}")
        self._logged = recent
