"""Base of the nodes that bring samples in: one thread between a sensor and a topic."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from imagebind_msgs.msg import Audio
from sensor_msgs.msg import Image

from imagebind_node.errors import DeviceError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import audio_message
from imagebind_node.nodes.diagnostics import ERROR, OK, WARN, Report
from imagebind_node.nodes.image_conversions import image_message
from imagebind_node.nodes.parameters import Setting
from imagebind_node.samples import AudioSample, ImageSample
from imagebind_node.sensors.base import SensorStats
from imagebind_node.streaming.statistics import RateMeter

CAMERA_TOPIC, AUDIO_TOPIC = "camera/image_raw", "audio"
_JOIN_SECONDS = 5.0


class DriverNode(ManagedNode):
    """Runs `drive` in a thread while active. A sample goes by reference inside the process, over DDS outside."""

    def __init__(self, name: str, settings: Sequence[Setting], topics: Sequence[str], **options: Any) -> None:
        super().__init__(name, settings, **options)
        self._topics = tuple(topics)
        self._outputs: dict[str, Any] = {}
        self._withdraw: list[Any] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.rates = {topic: RateMeter() for topic in topics}

    def drive(self, stop: threading.Event) -> None:
        """Deliver samples through `emit_image` and `emit_audio` until `stop` is set."""
        raise NotImplementedError

    def configure(self) -> None:
        types = {CAMERA_TOPIC: (Image, qos.SENSOR), AUDIO_TOPIC: (Audio, qos.audio())}
        for topic in self._topics:
            self._outputs[topic] = self.publisher(types[topic][0], topic, types[topic][1])
            self._withdraw.append(self.exchange.announce(self.resolve_topic_name(topic)))
        self.diagnostics.add("driver", self._report)

    def activate(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name=self.get_name(), daemon=True
        )
        self._thread.start()

    def deactivate(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)
        self._thread = None

    def cleanup(self) -> None:
        for withdraw in self._withdraw:
            withdraw()
        self.diagnostics.remove("driver")
        self._withdraw, self._outputs = [], {}

    def emit_image(self, sample: ImageSample) -> None:
        """Send a picture out."""
        publisher = self._sent(CAMERA_TOPIC, sample)
        if publisher.get_subscription_count() > 0:
            publisher.publish(image_message(sample.data, "rgb8", sample.stamp, sample.frame_id))

    def emit_audio(self, sample: AudioSample, sequence: int) -> None:
        """Send a block of sound out."""
        publisher = self._sent(AUDIO_TOPIC, (sample, sequence))
        if publisher.get_subscription_count() > 0:
            publisher.publish(audio_message(sample, sequence))

    def stats(self) -> SensorStats | None:
        """Counters of the sensor, if there is one."""
        return None

    def _sent(self, topic: str, item: Any) -> Any:
        publisher = self._outputs[topic]
        self.rates[topic].tick()
        self.exchange.publish(publisher.topic_name, item)
        return publisher

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.drive(stop)
                return
            except DeviceError as error:
                self.errors.add("driver", error)
            except Exception as error:  # noqa: BLE001 - a driver must not take the graph down; it is reported
                self.errors.add("driver", error)
                stop.wait(1.0)

    def _report(self) -> Report:
        values: dict[str, object] = {}
        for topic, meter in self.rates.items():
            values[f"{topic} rate (Hz)"] = meter.rate()
            values[f"{topic} age (s)"] = meter.age()
        values["errors"] = self.errors.counts["driver"]
        stats = self.stats()
        if stats is None:
            return Report(OK, "active" if self.active else "inactive", values)
        values |= {
            "state": stats.state,
            "received": stats.received,
            "lost": stats.lost,
            "opened": stats.opened,
            "last error": stats.last_error,
        }
        if stats.state == "lost":
            return Report(ERROR, stats.last_error, values)
        level = WARN if stats.state in ("opening", "ended") else OK
        return Report(level, stats.state, values)
