"""The thread that stores impressions: everything that waits goes into one group commit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagebind_node.errors import DiskFullError
from imagebind_node.streaming.statistics import StageTimes

if TYPE_CHECKING:
    from imagebind_node.memory.memory import Impression, Memory

MAX_WAITING = 10_000
BATCH = 200
# Between two commits: more arrive meanwhile, and one fdatasync serves them all.
GATHER_SECONDS = 0.02
# Until the next attempt while the disk is full.
FULL_SECONDS = 0.5
EXPIRE_SECONDS = 60.0


class MemoryWriter:
    """put() never blocks; when MAX_WAITING impressions wait, the oldest is dropped and counted.

    full: what is wrong with the disk, empty if nothing is; impressions then wait until there is room again.
    """

    def __init__(
        self, memory: Memory, report: Callable[[str, Exception], None], now: Callable[[], int]
    ) -> None:
        self._memory, self._report, self._now = memory, report, now
        self._waiting: deque[Impression] = deque(maxlen=MAX_WAITING)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="memory-writer", daemon=True)
        self.stored = 0
        self.dropped = 0
        self.full = ""
        self.times = StageTimes()

    @property
    def waiting(self) -> int:
        """Impressions that are not stored yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def put(self, impression: Impression) -> None:
        """Have an impression stored."""
        if len(self._waiting) == MAX_WAITING:
            self.dropped += 1
        self._waiting.append(impression)
        self._wake.set()

    def close(self) -> None:
        """Store what waits, then stop."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        expire_at = time.monotonic()
        while True:
            self._wake.wait(EXPIRE_SECONDS)
            self._wake.clear()
            while self._waiting and not (self.full and self._stopping):
                self._store()
            if self._stopping:
                self.dropped += len(self._waiting)
                return
            if time.monotonic() >= expire_at:
                expire_at = time.monotonic() + EXPIRE_SECONDS
                self._guarded("expire", lambda: self._memory.expire(self._now()))
            time.sleep(GATHER_SECONDS)

    def _store(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        began = time.perf_counter()
        self._guarded("store", lambda: self._commit(batch))
        self.times.add(time.perf_counter() - began)
        if self.full:
            time.sleep(FULL_SECONDS)

    def _commit(self, batch: list[Impression]) -> None:
        try:
            self.stored += len(self._memory.remember(batch))
        except DiskFullError as error:
            self.full = str(error)
            # Back to the head of the queue, as far as there is room; the oldest go first.
            room = max(0, MAX_WAITING - len(self._waiting))
            self.dropped += max(0, len(batch) - room)
            self._waiting.extendleft(reversed(batch[len(batch) - min(room, len(batch)) :]))
            raise
        self.full = ""

    def _guarded(self, what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a full disk or a lost server must not end the node; reported
            self._report(what, error)
