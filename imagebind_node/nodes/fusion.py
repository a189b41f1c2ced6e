"""Fusion node: `embedding/<modality>` in, `embedding/fused` out, and `event` when the scene changes.

ros2 run imagebind_node fusion --ros-args -p weight.audio:=2.0 -p change_threshold:=0.3
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from imagebind_node.change import Change, ChangeDetector
from imagebind_node.embedding import Embedding
from imagebind_node.fusion import Fused, Fusion
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import embedding as from_message
from imagebind_node.nodes.conversions import embedding_message
from imagebind_node.nodes.diagnostics import OK, WARN, Report
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.samples import Modality, parse_modality
from imagebind_node.streaming.statistics import RateMeter

SENSES = ("vision", "audio", "depth", "thermal", "imu")
SETTINGS = [
    Setting("fused", list(SENSES), "Modalities that go in.", choices=SENSES),
    *(
        Setting(f"weight.{sense}", 1.0, f"Weight of {sense}; 0 leaves it out.", 0.0, 1000.0, live=True)
        for sense in SENSES
    ),
    Setting("slop", 0.1, "Seconds between stamps that count as the same moment.", 0.001, 10.0),
    Setting(
        "half_life", 1.0, "Seconds beyond slop in which an old embedding loses half its weight.", 0.01, 3600.0
    ),
    Setting("max_age", 5.0, "Seconds after which an embedding no longer counts.", 0.01, 3600.0),
    Setting(
        "change_threshold",
        0.0,
        "Cosine distance from which `event` is published; 0: never.",
        0.0,
        2.0,
        live=True,
    ),
    Setting("change_memory", 3.0, "Time constant in seconds of what the scene was.", 0.01, 3600.0),
    Setting("change_refractory", 2.0, "Seconds after an event without another.", 0.0, 3600.0),
]
TOPIC, EVENT_TOPIC = "embedding/fused", "event"


class FusionNode(ManagedNode):
    """Adds the newest embeddings up. Takes whatever comes, in any order, and misses nobody who is silent."""

    def __init__(self, name: str = "fusion", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._fusion: Fusion | None = None
        self._changes: ChangeDetector | None = None
        self._lock = threading.Lock()
        self._output: Any = None
        self._events: Any = None
        self._timer: Any = None
        self._stop_listening: list[Callable[[], None]] = []
        self._models: dict[Modality, str] = {}
        self._last: Fused | None = None
        self._rates: dict[str, RateMeter] = {}
        self.changes = 0

    def configure(self) -> None:
        from imagebind_msgs.msg import Embedding as EmbeddingMessage
        from imagebind_msgs.msg import SceneChange

        self._fusion = Fusion(
            self._weights(),
            slop=self.settings["slop"],
            half_life=self.settings["half_life"],
            max_age=self.settings["max_age"],
        )
        self._changes = ChangeDetector(
            self.settings["change_threshold"],
            self.settings["change_memory"],
            self.settings["change_refractory"],
        )
        self._rates = {name: RateMeter() for name in ("fused", *self.settings["fused"])}
        self._output = self.publisher(EmbeddingMessage, TOPIC, qos.RESULT)
        self._events = self.publisher(SceneChange, EVENT_TOPIC, qos.RESULT)
        self.diagnostics.add("fusion", self._report)

    def activate(self) -> None:
        from imagebind_msgs.msg import Embedding as EmbeddingMessage

        for modality in self.settings["fused"]:
            topic = f"embedding/{modality}"
            name = self.resolve_topic_name(topic)
            if self.exchange.has_producer(name):
                listener = partial(self._guarded, topic)
                self._stop_listening.append(self.exchange.listen(name, listener))
            else:
                self.subscription(EmbeddingMessage, topic, self._on_message, qos.RESULT)
        self._timer = self.timer(max(0.02, self.settings["slop"] / 2), self._flush)

    def deactivate(self) -> None:
        for stop in self._stop_listening:
            stop()
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self._stop_listening, self._timer = [], None
        with self._lock:
            if self._fusion is not None:
                self._fusion.reset()

    def cleanup(self) -> None:
        self.diagnostics.remove("fusion")
        self._fusion = self._changes = self._output = self._events = self._last = None
        self._models, self._rates = {}, {}

    def _weights(self) -> dict[Modality, float]:
        return {parse_modality(name): self.settings[f"weight.{name}"] for name in self.settings["fused"]}

    def _on_message(self, message: Any) -> None:
        received = from_message(message)
        self._models[received.modality] = message.model
        self._take(received)

    def _guarded(self, topic: str, item: Embedding) -> None:
        # On the encoder's inference thread: our error is not the encoder's.
        try:
            self._take(item)
        except Exception as error:  # noqa: BLE001 - reported
            self.errors.add(topic, error)

    def _take(self, received: Embedding) -> None:
        with self._lock:
            fusion = self._fusion
            if fusion is None:
                return
            closed = fusion.put(received)
            self._rates[str(received.modality)].tick()
            for fused in closed:
                self._publish(fused)

    def _flush(self) -> None:
        with self._lock:
            if self._fusion is not None:
                # Here and not for each embedding: reading parameters costs more than adding vectors.
                self._fusion.weights = self._weights()
                for fused in self._fusion.flush(self.now()):
                    self._publish(fused)

    def _publish(self, fused: Fused) -> None:
        self._last = fused
        self._rates["fused"].tick()
        message = self._message(fused)
        self._output.publish(message)
        threshold = self.settings["change_threshold"]
        if threshold > 0 and self._changes is not None:
            self._changes.threshold = threshold
            change = self._changes.update(fused)
            if change is not None:
                self.changes += 1
                self._events.publish(_event(change, message))

    def _message(self, fused: Fused) -> Any:
        models = sorted({self._models[m] for m in fused.inputs if m in self._models})
        message = embedding_message(fused.embedding, "+".join(models) or fused.embedding.space.id)
        message.modality = "fused"
        message.sources = list(fused.sources)
        message.source_weights = list(fused.weights)
        return message

    def _report(self) -> Report:
        fusion = self._fusion
        if fusion is None:
            return Report(OK, "inactive")
        values: dict[str, object] = {f"{name} rate (Hz)": meter.rate() for name, meter in self._rates.items()}
        values |= {
            "space": fusion.space.id if fusion.space else "",
            "late": fusion.late,
            "restarts": fusion.restarts,
            "events": self.changes,
            "errors": sum(self.errors.counts.values()),
        }
        last = self._last
        if last is None:
            return Report(OK, "nothing received", values)
        values |= {f"share of {source}": weight for source, weight in zip(last.sources, last.weights)}
        if self._rates["fused"].rate() == 0:
            return Report(WARN, "no embeddings come any more", values)
        return Report(OK, "fusing" if last.sources else "nothing is confident", values)


def _event(change: Change, message: Any) -> Any:
    from imagebind_msgs.msg import SceneChange

    return SceneChange(
        header=message.header,
        distance=change.distance,
        threshold=change.threshold,
        modalities=[name for name, _ in change.by_modality],
        distances=[distance for _, distance in change.by_modality],
        embedding=message,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `fusion`."""
    return run(lambda: [FusionNode()], args)


if __name__ == "__main__":
    sys.exit(main())
