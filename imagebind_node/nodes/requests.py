"""Work that a service asks for, done on the inference thread while the executor stays responsive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from imagebind_node.errors import DeviceError
from imagebind_node.streaming.scheduler import Scheduler

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode

T = TypeVar("T")
LANE = "requests"
# How long one look at an unfinished request may hold the executor; between two looks it serves other callbacks.
_POLL_SECONDS = 0.002


class _Yield:
    def __await__(self) -> Generator[None, None, None]:
        yield


class Requests:
    """A scheduler lane for service calls of a node."""

    def __init__(self, scheduler: Scheduler, node: ManagedNode) -> None:
        self._scheduler = scheduler
        self._node = node
        self._waiting: deque[Callable[[], None]] = deque()
        self._open = True
        scheduler.add(LANE, 0.0, self._work)

    async def call(self, function: Callable[[], T]) -> T:
        """Run `function` on the inference thread and return what it returns, or raise what it raises."""
        done = threading.Event()
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append((function(), None))
            except Exception as error:  # noqa: BLE001 - raised again below, on the caller's side
                outcome.append((None, error))
            done.set()
            self._node.wake()

        self._waiting.append(work)
        self._scheduler.notify(LANE)
        await self.until(done)
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    async def until(self, event: threading.Event) -> None:
        """Wait for an event while the executor serves others; DeviceError if the node is deactivated meanwhile."""
        while not event.wait(_POLL_SECONDS):
            if not self._open:
                raise DeviceError("the node is being deactivated: ask again when it is active")
            await _Yield()

    def close(self) -> None:
        """Turn down what waits."""
        self._open = False
        self._waiting.clear()
        self._node.wake()

    def _work(self) -> None:
        if self._waiting:
            self._waiting.popleft()()
        if self._waiting:
            self._scheduler.notify(LANE)
