"""One picture topic: raw, compressed, or by reference from a node of this process; newest frame only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import to_nanoseconds
from imagebind_node.nodes.image_conversions import PictureSample, picture_sample
from imagebind_node.samples import Modality
from imagebind_node.streaming.frozen import FrozenWatch
from imagebind_node.streaming.newest import Newest

TOPICS = {
    Modality.VISION: "camera/image_raw",
    Modality.DEPTH: "depth/image_raw",
    Modality.THERMAL: "thermal/image_raw",
}
_CHECK_PERIOD = 0.5
_FROZEN_SECONDS = 2.0


class PictureInput(Newest):
    """Subscribes to `TOPICS[modality]` and keeps the newest frame until `take`.

    Messages are converted by `take`, on the inference thread: the executor only moves references. With transport
    "auto" the compressed topic is used while nobody publishes the raw one.
    """

    def __init__(
        self,
        node: ManagedNode,
        modality: Modality,
        notify: Callable[[], None],
        *,
        rate: float,
        transport: str,
    ) -> None:
        """notify: called for each admitted frame; rate: frames a second at most, 0 for all."""
        super().__init__(_stamp, node.now, notify, rate)
        self._node = node
        self.modality = modality
        self.topic = TOPICS[modality]
        self.frozen = FrozenWatch()
        self._transport = transport
        self._camera_info: CameraInfo | None = None
        self._subscription: Any = None
        self._compressed = transport == "compressed"
        self._info_subscription: Any = None
        self._timer: Any = None
        self._stop_listening: Callable[[], None] | None = None

    def open(self) -> None:
        """Subscribe."""
        self.forget()
        name = self._node.resolve_topic_name(self.topic)
        if self._node.exchange.has_producer(name):
            self._stop_listening = self._node.exchange.listen(name, self.put)
            return
        self._subscribe()
        if self.modality is Modality.DEPTH:
            info_topic = self.topic.rsplit("/", 1)[0] + "/camera_info"
            self._info_subscription = self._node.subscription(
                CameraInfo, info_topic, self._keep_info, qos.SENSOR
            )
        if self._transport == "auto":
            self._timer = self._node.timer(_CHECK_PERIOD, self._choose_transport)

    def close(self) -> None:
        """Unsubscribe."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._stop_listening is not None:
            self._stop_listening()
        for subscription in (self._subscription, self._info_subscription):
            if subscription is not None:
                self._node.unsubscribe(subscription)
        self._timer = self._stop_listening = self._subscription = self._info_subscription = None

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {**super().figures(), "unchanged (s)": self.frozen.seconds}

    def complaint(self) -> str:
        """What is wrong with the pictures themselves, for diagnostics; empty if nothing is."""
        if self.frozen.seconds > _FROZEN_SECONDS:
            return (
                f"{self.topic} shows the very same picture all the time: a camera that hangs, or a still one"
            )
        return ""

    def take(self, max_age: float) -> PictureSample | None:
        """The newest frame as a sample, or None; one older than `max_age` s (0: any age) is dropped, not returned.

        Raises InvalidInputError if the message does not hold a picture.
        """
        item = self.take_fresh(max_age)
        if item is None:
            return None
        by_message = isinstance(item, (Image, CompressedImage))
        sample = picture_sample(item, self.modality, self._camera_info) if by_message else item
        self.frozen.see(sample.data, _stamp(item))
        return sample

    def _keep_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _subscribe(self) -> None:
        if self._subscription is not None:
            self._node.unsubscribe(self._subscription)
        kind, suffix = (CompressedImage, "/compressed") if self._compressed else (Image, "")
        self._subscription = self._node.subscription(kind, self.topic + suffix, self.put, qos.SENSOR)

    def _choose_transport(self) -> None:
        raw = self._node.count_publishers(self._node.resolve_topic_name(self.topic))
        compressed = self._node.count_publishers(self._node.resolve_topic_name(self.topic + "/compressed"))
        wanted = compressed > 0 and raw == 0
        if wanted != self._compressed and (raw or compressed):
            self._compressed = wanted
            self._subscribe()


def _stamp(item: Any) -> int:
    return to_nanoseconds(item.header.stamp) if isinstance(item, (Image, CompressedImage)) else item.stamp
