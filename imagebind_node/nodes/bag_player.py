"""Plays the topics of a recording that this package uses, under their recorded names in the node's namespace."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import Any

from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import to_time
from imagebind_node.sensors.bag import AUDIO, IMU, Recording, restamped

_CLOCK_PERIOD = 0.01


class BagPlayer:
    """Publishes messages as they were recorded, in their pace and order; only the stamp may be moved."""

    def __init__(self, node: ManagedNode, path: str, *, speed: float, loop: bool, recorded: bool) -> None:
        """recorded: keep the stamps and publish /clock. Raises InvalidInputError if the bag cannot be played."""
        self._node, self._path = node, path
        self._speed, self._loop, self._recorded = speed, loop, recorded
        self._recording = Recording(path)
        self.outputs: dict[str, Any] = {}
        kinds = self._recording.topics()
        if self._recording.ignored:
            ignored = ", ".join(self._recording.ignored)
            node.get_logger().info(f"{path}: not played, of no type for us: {ignored}")
        # A reliable publisher serves both kinds of subscribers; pictures stay best effort, as from our drivers.
        profiles = {AUDIO: qos.audio(), IMU: QoSProfile(depth=100)}
        for topic, kind in sorted(kinds.items()):
            package, _, name = kind.split("/")
            message_type = getattr(import_module(f"{package}.msg"), name)
            self.outputs[topic] = node.publisher(
                message_type, topic.lstrip("/"), profiles.get(kind, qos.SENSOR)
            )
        self._clock = node.publisher(Clock, "/clock", QoSProfile(depth=10)) if recorded else None

    def play(self, stop: threading.Event) -> None:
        """Until the end, or until `stop` is set; with `loop` for ever. A bag that breaks off ends there."""
        while not stop.is_set():
            try:
                self._once(stop)
            except InvalidInputError as error:
                self._node.errors.add("driver", error)
                return
            self._say_problems()
            if not self._loop:
                return

    def _once(self, stop: threading.Event) -> None:
        first: int | None = None
        origin, shift, ticked = time.monotonic(), 0, 0.0
        for message in self._recording.messages():
            if first is None:
                first = message.time
                shift = self._node.now() - first
            due = (message.time - first) / 1e9 / self._speed
            if stop.wait(max(0.0, origin + due - time.monotonic())):
                return
            raw = message.raw
            if self._clock is not None:
                if due - ticked >= _CLOCK_PERIOD or ticked == 0.0:
                    ticked = due or 1e-9
                    self._clock.publish(Clock(clock=to_time(message.time)))
            else:
                # The delay between capture and recording stays; gaps shrink with the speed.
                age = message.time - message.stamp
                raw = restamped(raw, first + shift + round(due * 1e9) - max(0, age))
            self.outputs[message.topic].publish(raw)

    def _say_problems(self) -> None:
        for topic, count in self._recording.problems.items():
            self._node.get_logger().warning(f"{self._path}: {count} damaged messages on {topic} were skipped")
        self._recording.problems.clear()
