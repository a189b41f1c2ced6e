"""A client on the graph under test: publishes, collects, calls services, and waits for things to become true."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from imagebind_node.nodes.executor import Spinner

PATIENCE = 90.0
"""Seconds: a test that waits this long has failed; the machine may be busy with other things."""


def eventually(condition: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> Any:
    """Wait until `condition()` is true and return what it returned."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Client:
    """A plain node in `namespace`, in a DDS participant of its own."""

    def __init__(self, namespace: str) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.node = rclpy.create_node("client", namespace=namespace, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._publishers: dict[str, Any] = {}

    def _spin(self) -> None:
        while not self._stopping.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._executor.shutdown(timeout_sec=5)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def collect(self, message_type: type, topic: str, qos: Any = 10) -> list[Any]:
        """A list that grows with every message on `topic`."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def publisher(self, message_type: type, topic: str, qos: Any) -> Any:
        """A publisher that has found at least one subscriber."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(message_type, topic, qos)
        publisher = self._publishers[topic]
        eventually(lambda: publisher.get_subscription_count() > 0, f"a subscriber of {topic}")
        return publisher

    def call(self, service_type: type, name: str, request: Any) -> Any:
        """Call a service and return its response."""
        client = self.node.create_client(service_type, name)
        eventually(client.service_is_ready, f"service {name}")
        future = client.call_async(request)
        eventually(future.done, f"answer of {name}")
        self.node.destroy_client(client)
        return future.result()


class Running:
    """One or more nodes of ours, served by an executor thread, in a DDS participant of their own."""

    def __init__(self, namespace: str) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.namespace = namespace
        self.nodes: list[Any] = []
        self._spinner: Spinner | None = None

    def make(self, node_class: type, start: bool = True, exchange: Any = None, **parameters: Any) -> Any:
        """Make a node; with `start` it is configured and activated before it is served."""
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        node = node_class(
            context=self.context,
            namespace=self.namespace,
            use_global_arguments=False,
            parameter_overrides=overrides,
            exchange=exchange,
        )
        self.nodes.append(node)
        if start:
            assert node.autostart(), node.start_error
        return node

    def serve(self) -> None:
        """Start the executor for the nodes made so far."""
        self._spinner = Spinner(self.nodes, self.context)
        self._spinner.start()

    def close(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            assert self._spinner.failure is None, self._spinner.failure
        for node in reversed(self.nodes):
            node.close()
        rclpy.shutdown(context=self.context)
