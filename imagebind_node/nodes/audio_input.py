"""The audio topic: every block goes into the audio stream, in order, none lost unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagebind_msgs.msg import Audio

from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import audio_sample
from imagebind_node.samples import AudioSample
from imagebind_node.streaming.audio_stream import AudioStream
from imagebind_node.streaming.stamp_order import StampOrder
from imagebind_node.streaming.statistics import RateMeter

TOPIC = "audio"


class AudioInput:
    """Subscribes to `audio`, or listens to a driver in this process."""

    topic = TOPIC

    def __init__(
        self, node: ManagedNode, front_end: Any, hop: float, notify: Callable[[], None], *, reliable: bool
    ) -> None:
        """notify: called whenever a whole hop of new sound waits in `stream`."""
        self._node = node
        self.stream = AudioStream(front_end, hop)
        self.arrivals = RateMeter()
        self.order = StampOrder()
        self.stale = 0
        self.received = 0
        self._notify = notify
        self._qos = qos.audio(reliable)
        self._stop_listening: Callable[[], None] | None = None

    def open(self) -> None:
        """Subscribe."""
        name = self._node.resolve_topic_name(TOPIC)
        if self._node.exchange.has_producer(name):
            self._stop_listening = self._node.exchange.listen(name, lambda item: self._push(*item))
            return
        self._node.subscription(Audio, TOPIC, self._on_message, self._qos)

    def close(self) -> None:
        """Unsubscribe; the node destroys the subscription."""
        if self._stop_listening is not None:
            self._stop_listening()
        self._stop_listening = None

    @property
    def dropped(self) -> int:
        """Frames of sound that never arrived."""
        return self.stream.lost_frames

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {
            "received frames": self.stream.received_frames,
            "lost frames": self.stream.lost_frames,
            "repeated blocks": self.stream.repeated_blocks,
            "clock jumps": self.order.jumps,
            "skipped hops": self.stream.skipped_hops,
            "skipped (s)": self.stream.skipped_seconds,
        }

    def _on_message(self, message: Audio) -> None:
        self._push(audio_sample(message), message.sequence)

    def _push(self, sample: AudioSample, sequence: int | None) -> None:
        self.arrivals.tick()
        self.received += 1
        # Which block comes next is told by its sequence; the stamps only show whether the clock was set.
        self.order.judge(sample.stamp)
        if self.stream.push(sample, sequence):
            self._notify()
