"""What `imagebind-node doctor` asks ROS: do pictures arrive, do publishers and subscribers fit together?"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

from imagebind_node.cli.checks import Finding, State

WIDTH, HEIGHT, FRAMES = 640, 480, 20
_RECEIVE_SECONDS = 10.0
# Word in what rclpy says of two profiles -> what to do.
_QOS_MENDS = {
    "reliable": "offer reliable on the publisher, or request best effort on the subscriber",
    "transient local": "offer transient local on the publisher, or request volatile on the subscriber",
    "deadline": "offer a shorter deadline on the publisher, or request a longer one on the subscriber",
    "lease": "offer a shorter lease on the publisher, or request a longer one on the subscriber",
}
_QOS_MEND = "give both ends the same profile; docs/nodes.md lists ours"


def check_transport() -> Iterator[Finding]:
    """Publish 640x480 pictures from a second process and count what arrives here."""
    import rclpy
    from sensor_msgs.msg import Image

    from imagebind_node.nodes.qos import SENSOR
    from imagebind_node.nodes.transport import use_large_shared_memory

    use_large_shared_memory()
    topic = f"/imagebind_node_doctor_{uuid.uuid4().hex}"
    with _node("imagebind_node_doctor") as (node, executor):
        arrived: list[float] = []
        node.create_subscription(Image, topic, lambda _: arrived.append(time.monotonic()), SENSOR)
        started = time.monotonic()
        command = [sys.executable, "-m", "imagebind_node.nodes.inspection", topic]
        publisher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            while rclpy.ok(context=node.context) and time.monotonic() - started < _RECEIVE_SECONDS:
                executor.spin_once(timeout_sec=0.1)
                if publisher.poll() is not None and (
                    len(arrived) >= FRAMES or time.monotonic() - started > 8
                ):
                    break
        finally:
            publisher.kill()
            _, log = publisher.communicate()
    share = f"{len(arrived)} of {FRAMES} pictures of {WIDTH}x{HEIGHT} arrived from another process"
    if publisher.returncode not in (0, -9):
        reason = (log.strip().splitlines() or ["no message"])[-1]
        yield Finding("dds", State.BROKEN, f"the test publisher failed: {reason}", "see the line above")
    elif len(arrived) >= FRAMES * 0.8:
        yield Finding("dds", State.OK, share)
    elif arrived:
        yield Finding("dds", State.BROKEN, share, "raise /dev/shm or net.core.rmem_max; see docs/install.md")
    else:
        yield Finding(
            "dds",
            State.BROKEN,
            "no message arrived from another process on this machine",
            "check ROS_DOMAIN_ID, ROS_LOCALHOST_ONLY or ROS_AUTOMATIC_DISCOVERY_RANGE, RMW_IMPLEMENTATION "
            "and the firewall; let multicast through on lo: ip link set lo multicast on",
        )


def check_graph(seconds: float) -> Iterator[Finding]:
    """Topics of the running graph whose two ends disagree in type or quality of service, both ends named, and
    what the nodes complain of."""
    from diagnostic_msgs.msg import DiagnosticArray

    from imagebind_node.nodes.health import findings_of

    with _node("imagebind_node_doctor") as (node, executor):
        told: list[Any] = []
        node.create_subscription(DiagnosticArray, "/diagnostics", lambda m: told.extend(m.status), 100)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        others = sorted({name for name, _ in node.get_node_names_and_namespaces()} - {node.get_name()})
        topics = [name for name, _ in node.get_topic_names_and_types()]
        faults = [finding for topic in sorted(topics) for finding in _faults(node, topic)]
    if not others:
        yield Finding("graph", State.MISSING, "no other node is running", "start one: imagebind-node up")
        return
    shown = ", ".join(others[:8]) + (" ..." if len(others) > 8 else "")
    yield Finding("graph", State.OK, f"{len(others)} nodes ({shown}), {len(topics)} topics")
    yield from faults
    if not faults:
        yield Finding("graph", State.OK, "every publisher and subscriber fit together")
    troubles = list(findings_of(told))
    yield from troubles
    if told and not troubles:
        yield Finding("nodes", State.OK, "no node complains on /diagnostics")


def _faults(node: Any, topic: str) -> Iterator[Finding]:
    from rclpy.qos import QoSCompatibility, qos_check_compatible

    own = (node.get_name(), node.get_namespace())
    publishers = [
        p for p in node.get_publishers_info_by_topic(topic) if (p.node_name, p.node_namespace) != own
    ]
    subscribers = [
        s for s in node.get_subscriptions_info_by_topic(topic) if (s.node_name, s.node_namespace) != own
    ]
    for publisher in publishers:
        for subscriber in subscribers:
            ends = f"{topic}: {_name(publisher)} -> {_name(subscriber)}"
            if publisher.topic_type != subscriber.topic_type:
                yield Finding(
                    "graph",
                    State.BROKEN,
                    f"{ends}: publishes {publisher.topic_type}, subscribes to {subscriber.topic_type}",
                    "remap one of them to another topic, or put an adapter between them",
                )
                continue
            hashes = [str(getattr(end, "topic_type_hash", "")) for end in (publisher, subscriber)]
            if hashes[0] != hashes[1]:
                yield Finding(
                    "graph",
                    State.BROKEN,
                    f"{ends}: both call it {publisher.topic_type}, but its definitions differ",
                    "build both ends against the same version of the interface package",
                )
            fit, reason = qos_check_compatible(publisher.qos_profile, subscriber.qos_profile)
            if fit == QoSCompatibility.ERROR:
                reason = reason.strip(" ;").removeprefix("ERROR: ")
                yield Finding(
                    "graph",
                    State.BROKEN,
                    f"{ends}: offered {_qos(publisher)}, requested {_qos(subscriber)}: {reason}",
                    next((mend for word, mend in _QOS_MENDS.items() if word in reason.lower()), _QOS_MEND),
                )


def _name(end: Any) -> str:
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def _qos(end: Any) -> str:
    profile = end.qos_profile
    return f"{profile.reliability.name.lower()}/{profile.durability.name.lower()}"


class _node:  # noqa: N801 - used as a function
    """A node with its own context, so that a running rclpy of the caller is left alone."""

    def __init__(self, name: str) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self._rclpy = rclpy
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node(name, context=self._context, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def __enter__(self) -> tuple:
        return self._node, self._executor

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._rclpy.shutdown(context=self._context)


def publish_pictures(topic: str) -> None:
    """Body of the second process: wait for a subscriber, then publish FRAMES pictures at 20 Hz."""
    import array

    from sensor_msgs.msg import Image

    from imagebind_node.nodes.qos import SENSOR
    from imagebind_node.nodes.transport import use_large_shared_memory

    use_large_shared_memory()
    with _node("imagebind_node_doctor_publisher") as (node, executor):
        publisher = node.create_publisher(Image, topic, SENSOR)
        deadline = time.monotonic() + 5.0
        while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.05)
        size = WIDTH * HEIGHT * 3
        message = Image(
            height=HEIGHT, width=WIDTH, encoding="rgb8", step=WIDTH * 3, data=array.array("B", bytes(size))
        )
        for _ in range(FRAMES):
            publisher.publish(message)
            time.sleep(0.05)
        time.sleep(0.3)


if __name__ == "__main__":
    publish_pictures(sys.argv[1])
