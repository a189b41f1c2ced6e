"""A slot that holds only the newest item: what a busy consumer reads is fresh, never a backlog."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the latest item put into it; an item that was never taken is overwritten and counted as dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._item: T | None = None
        self.received = 0
        self.dropped = 0

    def put(self, item: T) -> None:
        """Leave an item, in place of an older one that nobody took."""
        with self._lock:
            self.received += 1
            self.dropped += self._item is not None
            self._item = item

    def take(self) -> T | None:
        """Remove and return the item, or None."""
        with self._lock:
            item, self._item = self._item, None
            return item

    def peek(self) -> T | None:
        """Return the item without removing it."""
        return self._item
