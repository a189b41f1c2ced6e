"""Watches the topics of the demo's graph from outside, like any other node would."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from imagebind_node.demo.record import Heard, Heat, Record, Seen
from imagebind_node.nodes.environment import prepare
from imagebind_node.nodes.transport import use_large_shared_memory

prepare()
use_large_shared_memory()

import rclpy  # noqa: E402
from imagebind_msgs.msg import Audio, Embedding  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from imagebind_node.nodes import qos  # noqa: E402
from imagebind_node.nodes.conversions import to_nanoseconds  # noqa: E402
from imagebind_node.nodes.image_conversions import pixels  # noqa: E402

HEATMAPS_KEPT = 400


class Observer:
    """Subscribes to every topic of the demo in `namespace`; `record` is the scene at hand. A context manager."""

    def __init__(self, namespace: str) -> None:
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node("observer", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._lock = threading.Lock()
        self.record = Record()
        self._next_sequence: int | None = None
        for kind, topic, callback, profile in (
            (Audio, "audio", self._on_audio, qos.audio()),
            (Image, "camera/image_raw", self._on_picture, qos.SENSOR),
            (Embedding, "embedding/audio", self._on_embedding, qos.RESULT),
            (Detection2DArray, "detections", self._on_detections, qos.RESULT),
            (Image, "detections/heatmap", self._on_heatmap, qos.SENSOR),
        ):
            self._node.create_subscription(kind, topic, callback, profile)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="observer", daemon=True)

    def begin(self) -> Record:
        """Start a new record and return it."""
        with self._lock:
            self.record, self._next_sequence = Record(), None
            return self.record

    def publishers(self, topic: str) -> int:
        """How many publishers of a topic (relative to the namespace) have been discovered."""
        return self._node.count_publishers(topic)

    def subscribers(self, topic: str) -> int:
        """How many other subscribers of a topic (relative to the namespace) have been discovered."""
        own = {"audio", "camera/image_raw", "embedding/audio", "detections", "detections/heatmap"}
        return self._node.count_subscribers(topic) - (topic in own)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._executor.shutdown(timeout_sec=2)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._stopping.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _on_audio(self, message: Any) -> None:
        frames = len(message.data) // max(1, message.channels)
        with self._lock:
            record = self.record
            if record.started is None:
                lead = message.sequence * 1_000_000_000 // message.sample_rate
                record.started = to_nanoseconds(message.header.stamp) - lead
            if self._next_sequence is not None and message.sequence > self._next_sequence:
                record.lost_sound_frames += message.sequence - self._next_sequence
            self._next_sequence = message.sequence + frames
            record.sound_frames += frames

    def _on_picture(self, message: Any) -> None:
        self.record.pictures += 1

    def _on_embedding(self, message: Any) -> None:
        label = message.labels[0] if message.labels else ""
        stamp = to_nanoseconds(message.header.stamp)
        self.record.heard.append(Heard(stamp, label, float(message.confidence), bool(message.abstained)))

    def _on_detections(self, message: Any) -> None:
        arrived = time.time_ns()
        boxes, scores, labels = [], [], []
        for detection in message.detections:
            centre, best = detection.bbox.center.position, detection.results[0].hypothesis
            half = np.array([detection.bbox.size_x, detection.bbox.size_y]) / 2
            middle = np.array([centre.x, centre.y])
            boxes.append(np.concatenate([middle - half, middle + half]))
            scores.append(best.score)
            labels.append(best.class_id)
        order = np.argsort(-np.asarray(scores, np.float64)).tolist()
        self.record.seen.append(
            Seen(
                to_nanoseconds(message.header.stamp),
                arrived,
                np.asarray([boxes[i] for i in order], np.float32).reshape(-1, 4),
                np.asarray([scores[i] for i in order], np.float32),
                tuple(labels[i] for i in order),
            )
        )

    def _on_heatmap(self, message: Any) -> None:
        heat = Heat(to_nanoseconds(message.header.stamp), time.time_ns(), pixels(message).astype(np.float32))
        self.record.heatmaps.append(heat)
        del self.record.heatmaps[:-HEATMAPS_KEPT]
