"""Endpoints that cannot talk to each other because of their quality of service, named on both sides."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from imagebind_node.nodes.diagnostics import OK, WARN, Report

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


class QosWatch:
    """Remembers which topics of a node have a peer with incompatible quality of service."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._suspects: dict[tuple[str, bool], QoSProfile] = {}

    def for_subscription(self, topic: str, qos: QoSProfile) -> SubscriptionEventCallbacks:
        """Event callbacks to create a subscription with."""
        return SubscriptionEventCallbacks(incompatible_qos=lambda event: self._note(topic, False, qos))

    def for_publisher(self, topic: str, qos: QoSProfile) -> PublisherEventCallbacks:
        """Event callbacks to create a publisher with."""
        return PublisherEventCallbacks(incompatible_qos=lambda event: self._note(topic, True, qos))

    def _note(self, topic: str, publishing: bool, qos: QoSProfile) -> None:
        self._suspects[topic, publishing] = qos
        for problem in self._problems():
            self._node.get_logger().warning(problem, throttle_duration_sec=5.0)

    def _problems(self) -> list[str]:
        """The event tells no names: ask the graph who is at the other end, as it stands now."""
        own = self._node.get_fully_qualified_name()
        problems = []
        for (topic, publishing), qos in self._suspects.items():
            name = self._node.resolve_topic_name(topic)
            for peer in self._peers(name, publishing):
                offered, wanted = (qos, peer.qos_profile) if publishing else (peer.qos_profile, qos)
                verdict, reason = qos_check_compatible(offered, wanted)
                if verdict == QoSCompatibility.ERROR:
                    other = f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"
                    sender, receiver = (own, other) if publishing else (other, own)
                    problems.append(
                        f"{name}: nothing goes from {sender} to {receiver}: {' '.join(reason.split())}"
                    )
        return problems

    def _peers(self, name: str, publishing: bool) -> list[Any]:
        if publishing:
            return self._node.get_subscriptions_info_by_topic(name)
        return self._node.get_publishers_info_by_topic(name)

    def report(self) -> Report:
        """For diagnostics."""
        problems = self._problems() if self._suspects else []
        if not problems:
            return Report(OK, "every peer is compatible")
        return Report(WARN, problems[0], {f"problem {i}": text for i, text in enumerate(problems)})
