"""What the view shows, received: the topics of the graph, drawn on one worker thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from imagebind_msgs.msg import Audio, Query
from imagebind_msgs.msg import Embedding as EmbeddingMessage
from sensor_msgs.msg import Image, Imu
from vision_msgs.msg import Detection2DArray

from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import audio_sample, imu_row, to_nanoseconds
from imagebind_node.nodes.conversions import embedding as from_message
from imagebind_node.nodes.image_conversions import pixels
from imagebind_node.nodes.picture_input import PictureInput
from imagebind_node.samples import AudioSample, ImuSample, Modality
from imagebind_node.streaming.mailbox import Mailbox
from imagebind_node.streaming.scheduler import Scheduler
from imagebind_node.view.found import Found
from imagebind_node.view.health import part_health

if TYPE_CHECKING:
    from imagebind_node.embedding import Embedding
    from imagebind_node.nodes.base import ManagedNode
    from imagebind_node.view.drawer import Drawer

PICTURES = (Modality.VISION, Modality.DEPTH, Modality.THERMAL)
EMBEDDINGS = ("vision", "audio", "depth", "thermal", "imu", "fused")
QUERY_TOPIC = "detector/query"
HEAT, SOUND, MOTION, NEWS, MAP = "heat map", "sound", "motion", "news", "map"
_SOUND_RATE, _MOTION_RATE, _MAP_RATE = 5.0, 5.0, 2.0
# What waits to be drawn at most: a view that cannot keep up forgets the oldest.
_WAITING = 2000


class ViewInputs:
    """Subscribes between `open` and `close`. Best effort wherever it can be: a slow view must not hold others up."""

    def __init__(self, node: ManagedNode, drawer: Drawer, *, rate: float, transport: str) -> None:
        """rate: pictures of each kind a second at most; transport: see PictureInput."""
        self._node = node
        self._drawer = drawer
        self._scheduler = scheduler = Scheduler(node.errors.add)
        self._subscriptions: list[Any] = []
        self._stop_listening: list[Callable[[], None]] = []
        self._heat: Mailbox[Any] = Mailbox()
        self._sound: deque[AudioSample] = deque(maxlen=_WAITING)
        self._motion: deque[tuple[int, Any]] = deque(maxlen=_WAITING)
        self._news: deque[Callable[[], None]] = deque(maxlen=_WAITING)
        self._pictures = [
            PictureInput(
                node, modality, partial(scheduler.notify, str(modality)), rate=rate, transport=transport
            )
            for modality in PICTURES
        ]
        draw: tuple[Callable[[Any], None], ...] = (drawer.picture, drawer.depth, drawer.thermal)
        for source, draw_one in zip(self._pictures, draw):
            scheduler.add(str(source.modality), rate, partial(_draw_picture, source, draw_one), limit=False)
        scheduler.add(HEAT, rate, self._draw_heat)
        scheduler.add(SOUND, _SOUND_RATE, self._draw_sound)
        scheduler.add(MOTION, _MOTION_RATE, self._draw_motion)
        scheduler.add(NEWS, 0.0, self._draw_news)
        scheduler.add(MAP, _MAP_RATE, drawer.map)

    def open(self) -> None:
        """Subscribe and begin to draw."""
        self._scheduler.start()
        for source in self._pictures:
            source.open()
        self._listen(Audio, "audio", qos.audio(reliable=False), self._on_audio)
        self._listen(Imu, "imu/data", qos.MOTION, self._on_motion)
        for kind in EMBEDDINGS:
            topic = f"embedding/{kind}"
            self._listen(EmbeddingMessage, topic, qos.SENSOR, partial(self._on_embedding, kind))
        self._subscribe(Image, "detections/heatmap", qos.SENSOR, self._on_heat)
        self._subscribe(Detection2DArray, "detections", qos.RESULT, self._on_detections)
        self._subscribe(Query, QUERY_TOPIC, qos.STATE, self._on_query)
        self._subscribe(DiagnosticArray, "/diagnostics", 10, self._on_diagnostics)

    def close(self) -> None:
        """Unsubscribe, finish what is being drawn."""
        for stop in self._stop_listening:
            stop()
        for source in self._pictures:
            source.close()
        for subscription in self._subscriptions:
            self._node.unsubscribe(subscription)
        self._stop_listening, self._subscriptions = [], []
        self._scheduler.stop()

    def _listen(self, kind: type, topic: str, profile: Any, callback: Callable[[Any], None]) -> None:
        """By reference from a node of this process, otherwise from the topic."""
        name = self._node.resolve_topic_name(topic)
        if self._node.exchange.has_producer(name):
            self._stop_listening.append(self._node.exchange.listen(name, self._guarded(topic, callback)))
        else:
            self._subscribe(kind, topic, profile, callback)

    def _guarded(self, topic: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(item: Any) -> None:
            # On the producer's thread: our error is not its own.
            try:
                callback(item)
            except Exception as error:  # noqa: BLE001 - reported
                self._node.errors.add(topic, error)

        return call

    def _subscribe(self, kind: type, topic: str, profile: Any, callback: Callable[[Any], None]) -> None:
        self._subscriptions.append(self._node.subscription(kind, topic, callback, profile))

    # Called by the executor, or by nodes of this process: only put aside what came.

    def _on_heat(self, message: Any) -> None:
        self._heat.put(message)
        self._scheduler.notify(HEAT)

    def _on_audio(self, item: Any) -> None:
        # By reference it comes as (sample, sequence).
        self._sound.append(item[0] if isinstance(item, tuple) else audio_sample(item))
        self._scheduler.notify(SOUND)

    def _on_motion(self, item: Any) -> None:
        if isinstance(item, ImuSample):
            stamps = item.stamp + ((item.times - item.times[-1]) * 1e9).round().astype(np.int64)
            self._motion.extend(zip(stamps.tolist(), item.data.tolist()))
        else:
            self._motion.append((to_nanoseconds(item.header.stamp), imu_row(item)))
        self._scheduler.notify(MOTION)

    def _on_embedding(self, kind: str, item: Any) -> None:
        self._tell(partial(self._draw_embedding, kind, item))

    def _on_detections(self, message: Any) -> None:
        self._tell(lambda: self._drawer.boxes(to_nanoseconds(message.header.stamp), found_in(message)))

    def _on_query(self, message: Any) -> None:
        self._tell(lambda: self._drawer.query(message.label, _query_embedding(message)))

    def _on_diagnostics(self, message: Any) -> None:
        self._tell(partial(self._draw_health, message))

    def _tell(self, news: Callable[[], None]) -> None:
        self._news.append(news)
        self._scheduler.notify(NEWS)

    # Called by the worker thread.

    def _draw_heat(self) -> None:
        message = self._heat.take()
        if message is not None:
            self._drawer.heat(to_nanoseconds(message.header.stamp), pixels(message))

    def _draw_sound(self) -> None:
        blocks = [self._sound.popleft() for _ in range(len(self._sound))]
        if blocks:
            self._drawer.sound(blocks)

    def _draw_motion(self) -> None:
        waiting = [self._motion.popleft() for _ in range(len(self._motion))]
        if waiting:
            stamps, rows = zip(*waiting)
            self._drawer.motion(np.array(stamps, np.int64), np.array(rows, np.float64))

    def _draw_news(self) -> None:
        for _ in range(len(self._news)):
            self._news.popleft()()

    def _draw_embedding(self, kind: str, item: Any) -> None:
        embedding: Embedding = from_message(item) if isinstance(item, EmbeddingMessage) else item
        self._drawer.embedding(kind, embedding)
        self._scheduler.notify(MAP)

    def _draw_health(self, message: Any) -> None:
        # Not of this node itself: while all else is silent, time on the page stands still.
        own, namespace = f"{self._node.get_fully_qualified_name()}:", self._node.get_namespace()
        parts = [
            part_health(
                status.name,
                int.from_bytes(status.level, "little"),
                status.message,
                {pair.key: pair.value for pair in status.values},
                namespace,
            )
            for status in message.status
            if not status.name.startswith(own)
        ]
        known = [part for part in parts if part is not None]
        if known:
            self._drawer.health(known)


def found_in(message: Detection2DArray) -> list[Found]:
    """Detections message -> what the view shows of it; a detection without hypothesis has an empty label."""
    made = []
    for detection in message.detections:
        centre, (width, height) = (
            detection.bbox.center.position,
            (detection.bbox.size_x, detection.bbox.size_y),
        )
        box = (centre.x - width / 2, centre.y - height / 2, centre.x + width / 2, centre.y + height / 2)
        best = detection.results[0].hypothesis if detection.results else None
        label, score = (best.class_id, best.score) if best is not None else ("", 0.0)
        made.append(Found(box, label, score, detection.id))
    return made


def _query_embedding(message: Query) -> Embedding | None:
    return from_message(message.embedding) if message.active else None


def _draw_picture(source: PictureInput, draw: Callable[[Any], None]) -> None:
    sample = source.take(max_age=0.0)
    if sample is not None:
        draw(sample)
