"""Bases of the nodes that bring samples in: one thread between a sensor or a recording and its topics."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from imagebind_msgs.msg import Audio
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, Imu

from imagebind_node.errors import DeviceError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import audio_message, imu_message
from imagebind_node.nodes.diagnostics import ERROR, OK, WARN, Report
from imagebind_node.nodes.image_conversions import (
    PictureSample,
    camera_info_message,
    picture_message,
)
from imagebind_node.nodes.parameters import Setting
from imagebind_node.samples import AudioSample
from imagebind_node.sensors.base import Sensor, SensorStats
from imagebind_node.sensors.camera_model import CameraModel
from imagebind_node.sensors.inertial import ImuReading
from imagebind_node.streaming.statistics import RateMeter

CAMERA_TOPIC, AUDIO_TOPIC, IMU_TOPIC = "camera/image_raw", "audio", "imu/data"
DEPTH_TOPIC, THERMAL_TOPIC = "depth/image_raw", "thermal/image_raw"
CAMERA_INFO_TOPIC, DEPTH_INFO_TOPIC = "camera/camera_info", "depth/camera_info"
_TYPES: dict[str, tuple[type, QoSProfile]] = {
    CAMERA_TOPIC: (Image, qos.SENSOR),
    DEPTH_TOPIC: (Image, qos.SENSOR),
    THERMAL_TOPIC: (Image, qos.SENSOR),
    CAMERA_INFO_TOPIC: (CameraInfo, qos.SENSOR),
    DEPTH_INFO_TOPIC: (CameraInfo, qos.SENSOR),
    AUDIO_TOPIC: (Audio, qos.audio()),
    # Reliable, since that serves both kinds of subscribers.
    IMU_TOPIC: (Imu, QoSProfile(depth=100)),
}
_JOIN_SECONDS = 5.0
Device = TypeVar("Device", bound=Sensor[Any])


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
        """Deliver samples through the methods `emit_...` until `stop` is set."""
        raise NotImplementedError

    def configure(self) -> None:
        for topic in self._topics:
            message_type, profile = _TYPES[topic]
            self._outputs[topic] = self.publisher(message_type, topic, profile)
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

    def emit_picture(self, topic: str, sample: PictureSample, encoding: str = "") -> None:
        """Send a picture out; encoding: see `picture_message`."""
        publisher = self._sent(topic, sample)
        if publisher.get_subscription_count() > 0:
            publisher.publish(picture_message(sample, encoding))

    def emit_info(self, topic: str, camera: CameraModel, stamp: int, frame_id: str) -> None:
        """Send out the geometry of the picture of the same stamp."""
        publisher = self._outputs[topic]
        self.rates[topic].tick()
        if publisher.get_subscription_count() > 0:
            publisher.publish(camera_info_message(camera, stamp, frame_id))

    def emit_imu(self, reading: ImuReading, frame_id: str, variances: tuple[float, float]) -> None:
        """Send a measurement out; variances: of acceleration, (m/s^2)^2, and turn rate, (rad/s)^2; 0 = unknown."""
        message = imu_message(reading, frame_id, variances)
        publisher = self._sent(IMU_TOPIC, message)
        if publisher.get_subscription_count() > 0:
            publisher.publish(message)

    def emit_audio(self, sample: AudioSample, sequence: int) -> None:
        """Send a block of sound out."""
        publisher = self._sent(AUDIO_TOPIC, (sample, sequence))
        if publisher.get_subscription_count() > 0:
            publisher.publish(audio_message(sample, sequence))

    def stats(self) -> SensorStats | None:
        """Counters of the sensor, if there is one."""
        return None

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {}

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
        } | self.figures()
        if stats.state == "lost":
            return Report(ERROR, stats.last_error, values)
        level = WARN if stats.state in ("opening", "ended") else OK
        return Report(level, stats.state, values)


class SensorNode(DriverNode, Generic[Device]):
    """A driver node of one sensor: what `read` takes from it goes to `deliver`, through losses of the device."""

    def __init__(self, name: str, settings: Sequence[Setting], topics: Sequence[str], **options: Any) -> None:
        super().__init__(name, settings, topics, **options)
        self.sensor: Device | None = None

    def make(self) -> Device:
        """The sensor that the parameters describe, not yet open. Raises InvalidInputError if they are impossible."""
        raise NotImplementedError

    def read(self, sensor: Device) -> Any:
        """Wait for the next item. DeviceError, if none comes, is reported; the sensor keeps trying by itself."""
        return sensor.read_latest(self.settings["read_timeout"])

    def deliver(self, item: Any) -> None:
        """Send an item out through the methods `emit_...`."""
        raise NotImplementedError

    def configure(self) -> None:
        self.sensor = self.make()
        super().configure()

    def cleanup(self) -> None:
        super().cleanup()
        self.sensor = None

    def drive(self, stop: threading.Event) -> None:
        sensor = self.sensor
        assert sensor is not None
        with sensor:
            self.pump(sensor, stop)

    def pump(self, sensor: Device, stop: threading.Event) -> None:
        """Deliver from an open sensor until it ends or `stop` is set."""
        while not stop.is_set():
            if sensor.stats.state == "ended":
                self.get_logger().info(f"{sensor.name} has ended")
                stop.wait()
                return
            try:
                item = self.read(sensor)
            except DeviceError as error:
                # Not closed for it: a network camera may take longer to open than we wait for a picture.
                self.errors.add("driver", error)
                continue
            self.deliver(item)

    def stats(self) -> SensorStats | None:
        return self.sensor.stats if self.sensor else None
