"""The audio topic: every block goes into the audio stream, in order, none lost unnoticed.

Besides our own messages it takes those of audio_common, whichever type the topic has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagebind_msgs.msg import Audio
from rclpy.qos import ReliabilityPolicy

from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.nodes import audio_common, qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import audio_sample
from imagebind_node.samples import AudioSample
from imagebind_node.streaming.audio_stream import AudioStream
from imagebind_node.streaming.stamp_order import StampOrder
from imagebind_node.streaming.statistics import RateMeter

TOPIC, INFO_TOPIC = "audio", "audio_info"
_OURS = "imagebind_msgs/msg/Audio"
_CHECK_PERIOD = 0.5


class AudioInput:
    """Subscribes to `audio`, or listens to a driver in this process."""

    topic = TOPIC

    def __init__(
        self,
        node: ManagedNode,
        front_end: Any,
        hop: float,
        notify: Callable[[], None],
        *,
        reliable: bool,
        coding: str = "",
    ) -> None:
        """notify: called whenever a whole hop of new sound waits in `stream`. coding: see Coding.

        Raises InvalidInputError for a coding that is none.
        """
        self._node = node
        self.stream = AudioStream(front_end, hop)
        self.arrivals = RateMeter()
        self.order = StampOrder()
        self.stale = 0
        self.received = 0
        self._notify = notify
        self._qos = qos.audio(reliable)
        self._foreign = audio_common.ForeignAudio(coding)
        self._kind = _OURS
        self._seen: frozenset[str] = frozenset()
        self._subscriptions: list[Any] = []
        self._timer: Any = None
        self._stop_listening: Callable[[], None] | None = None

    @staticmethod
    def expect(node: ManagedNode) -> None:
        """Let what comes from now on wait for `open`."""
        node.expect(Audio, TOPIC, qos.audio(node.settings["audio_reliable"]))

    def open(self) -> None:
        """Subscribe."""
        name = self._node.resolve_topic_name(TOPIC)
        if self._node.exchange.has_producer(name):
            self._stop_listening = self._node.exchange.listen(name, lambda item: self._push(*item))
            return
        self._subscribe(self._kind, self._qos)
        self._timer = self._node.timer(_CHECK_PERIOD, self._choose_kind)

    def close(self) -> None:
        """Unsubscribe."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._stop_listening is not None:
            self._stop_listening()
        self._unsubscribe()
        self._timer = self._stop_listening = None

    @property
    def dropped(self) -> int:
        """Frames of sound that never arrived."""
        return self.stream.lost_frames

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {
            "type": self._kind,
            "received frames": self.stream.received_frames,
            "lost frames": self.stream.lost_frames,
            "repeated blocks": self.stream.repeated_blocks,
            "clock jumps": self.order.jumps,
            "skipped hops": self.stream.skipped_hops,
            "skipped (s)": self.stream.skipped_seconds,
        }

    def dropping(self) -> str:
        """Why the block that came last was left out; empty if it was not."""
        return "its sequence does not count the frames" if self.stream.repeating else ""

    def _choose_kind(self) -> None:
        """Subscribe by the type that is published: no node can have two types on one topic."""
        publishers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(TOPIC))
        kinds = frozenset(publisher.topic_type for publisher in publishers)
        wanted = next((kind for kind in (_OURS, *audio_common.TYPES) if kind in kinds), None)
        if wanted is None and kinds and kinds != self._seen:
            known = ", ".join((_OURS, *audio_common.TYPES))
            complaint = f"{TOPIC} has type {', '.join(sorted(kinds))}, which is none of {known}"
            self._node.errors.add(TOPIC, InvalidInputError(complaint))
        self._seen = kinds
        if wanted is None or wanted == self._kind:
            return
        if self._subscriptions:
            # Next time: DDS keeps the type of a topic until the executor has let go of the old subscription.
            self._unsubscribe()
            return
        reliable = all(p.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT for p in publishers)
        try:
            self._subscribe(wanted, self._qos if wanted == _OURS else qos.audio(reliable))
        except ImagebindNodeError as error:
            self._node.errors.add(TOPIC, error)
        self._kind = wanted

    def _subscribe(self, kind: str, profile: Any) -> None:
        subscribe = self._node.subscription
        if kind == _OURS:
            self._subscriptions = [subscribe(Audio, TOPIC, self._on_message, profile)]
            return
        message_class = audio_common.message_class(kind)
        self._subscriptions = [subscribe(message_class, TOPIC, self._on_foreign, profile)]
        if kind != audio_common.STAMPED:
            info_class = audio_common.message_class(audio_common.INFO)
            learn = self._foreign.coding.learn
            self._subscriptions.append(subscribe(info_class, INFO_TOPIC, learn, qos.RESULT))

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions:
            self._node.unsubscribe(subscription)
        self._subscriptions = []

    def _on_message(self, message: Audio) -> None:
        self._push(audio_sample(message), message.sequence)

    def _on_foreign(self, message: Any) -> None:
        self._push(*self._foreign.read(message, self._node.now()))

    def _push(self, sample: AudioSample, sequence: int | None) -> None:
        self.arrivals.tick()
        self.received += 1
        # Which block comes next is told by its sequence; the stamps only show whether the clock was set.
        self.order.judge(sample.stamp)
        if self.stream.push(sample, sequence):
            self._notify()
