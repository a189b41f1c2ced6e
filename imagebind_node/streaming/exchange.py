"""Samples handed over by reference between nodes of one process.

DDS serialises every message, also between two nodes of one process. Nodes that share a process share an
`Exchange` instead: a producer announces a topic, and consumers of that topic get the very sample object.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Listener = Callable[[Any], None]


class Exchange:
    """Topic name -> listeners in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Listener]] = {}
        self._producers: dict[str, set[object]] = {}

    def announce(self, topic: str) -> Callable[[], None]:
        """Declare a producer of `topic` in this process; returns a function that withdraws it."""
        token = object()
        with self._lock:
            self._producers.setdefault(topic, set()).add(token)

        def withdraw() -> None:
            with self._lock:
                self._producers[topic].discard(token)

        return withdraw

    def has_producer(self, topic: str) -> bool:
        """True if a node of this process produces `topic`: its consumers here can skip DDS."""
        with self._lock:
            return bool(self._producers.get(topic))

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Call `listener(item)` for every item published; returns a function that ends it."""
        with self._lock:
            self._listeners[topic] = [*self._listeners.get(topic, []), listener]

        def stop() -> None:
            with self._lock:
                self._listeners[topic] = [other for other in self._listeners[topic] if other is not listener]

        return stop

    def publish(self, topic: str, item: Any) -> None:
        """Hand `item` to the listeners of `topic`, on the caller's thread."""
        for listener in self._listeners.get(topic, ()):
            listener(item)
