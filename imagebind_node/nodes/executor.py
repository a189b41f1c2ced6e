"""Runs nodes until the process is asked to end, and ends it cleanly."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from imagebind_node.errors import ImagebindNodeError
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.shared_memory import remove_dead_segments
from imagebind_node.nodes.transport import use_large_shared_memory

# Never without a time limit: `EventsExecutor.spin()` runs hot in rclpy 9.1, and its wake-up misses a shutdown that
# comes between two events.
_SPIN_SECONDS = 0.5


def make_executor(context: Any = None) -> Any:
    """The cheapest executor there is.

    Measured with 50 audio blocks and 17 pictures a second: EventsExecutor 5 % of a core, SingleThreadedExecutor
    7 %, MultiThreadedExecutor 21 % (benchmarks/executors.py). Distributions before Jazzy lack the first.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


class Spinner:
    """Runs an executor in a thread of its own, so that the main thread hears signals at once."""

    def __init__(self, nodes: Sequence[ManagedNode], context: Any = None) -> None:
        self._executor = make_executor(context)
        self._stopping = threading.Event()
        self._turn: Any = Future()
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None
        for node in nodes:
            self._executor.add_node(node)
            node.wake = self.wake
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)

    def start(self) -> None:
        """Begin to serve callbacks."""
        self._thread.start()

    def _spin(self) -> None:
        try:
            while self._executor.context.ok():
                # A turn and not `spin_once`, which returns to Python after each message. A new future each time,
                # since an executor may keep for good what it adds to one.
                self._turn = Future()
                if self._stopping.is_set():
                    break
                self._executor.spin_until_future_complete(self._turn, timeout_sec=_SPIN_SECONDS)
        except ExternalShutdownException:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            self.failure = error
            self.on_failure()

    def wake(self) -> None:
        """Begin a new turn: coroutines that wait for another thread are looked at again. From any thread."""
        self._turn.set_result(None)

    def stop(self) -> None:
        """End the thread. The nodes must be closed after this, the context after them."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._executor.shutdown(timeout_sec=1)


def run(build: Callable[[], Sequence[ManagedNode]], args: Sequence[str] | None = None) -> int:
    """Initialise ROS, build nodes, start them, serve until SIGINT or SIGTERM, and end.

    Returns the exit status: 0 after a signal, 1 after an unforeseen error, 2 if a node could not start.
    """
    use_large_shared_memory()
    remove_dead_segments()
    stop = threading.Event()

    def ask_to_stop(number: int, frame: Any) -> None:
        if stop.is_set():
            # The user insists, for example while a large model is still being read.
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    # Our own signal handling: that of rclpy shuts the context down under nodes that still publish.
    try:
        rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        print(f"error: ROS refuses its arguments: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    nodes: list[ManagedNode] = []
    spinner = None
    status = 0
    try:
        nodes += build()
        spinner = Spinner(nodes)
        spinner.on_failure = stop.set
        status = _start(nodes, stop)
        if status == 0:
            spinner.start()
            stop.wait()
            if spinner.failure is not None:
                traceback.print_exception(spinner.failure)
                status = 1
    except (ImagebindNodeError, rclpy_implementation.RCLError) as error:
        # ROS itself refuses, for example, a node without keys where security is enforced.
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    finally:
        # Without this order the process aborts at exit: executor, nodes, context.
        if spinner is not None:
            spinner.stop()
        for node in reversed(nodes):
            node.close()
        rclpy.try_shutdown()
    return status


def _start(nodes: Sequence[ManagedNode], stop: threading.Event) -> int:
    """Configure all, then activate all: producers of this process are known before consumers look for them."""
    chosen = [node for node in nodes if node.settings["autostart"]]
    for transition in ("trigger_configure", "trigger_activate"):
        for node in chosen:
            if stop.is_set():
                return 0
            getattr(node, transition)()
            if node.start_error is not None:
                return 2 if isinstance(node.start_error, ImagebindNodeError) else 1
    return 0
