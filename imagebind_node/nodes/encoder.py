"""Encoder node: sensor topics in, `embedding/<modality>` out.

ros2 run imagebind_node encoder --ros-args -p modalities:="['vision', 'audio']"
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from imagebind_node.nodes import qos
from imagebind_node.nodes.audio_input import AudioInput
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import embedding_message
from imagebind_node.nodes.diagnostics import OK, WARN, Report
from imagebind_node.nodes.encoder_parameters import SETTINGS
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.imu_input import ImuInput
from imagebind_node.nodes.measurement_input import MeasurementInput
from imagebind_node.nodes.models import load_model, model_name
from imagebind_node.nodes.picture_input import TOPICS, PictureInput
from imagebind_node.nodes.requests import Requests
from imagebind_node.preprocessing.thermal import ThermalRange
from imagebind_node.samples import Modality
from imagebind_node.streaming.imu_stream import ImuStream
from imagebind_node.streaming.scheduler import Scheduler
from imagebind_node.streaming.statistics import RateMeter, StageTimes

# Further ahead than this no stamp can be by jitter.
_FUTURE_SECONDS = 0.1


class EncoderNode(ManagedNode):
    """Encodes the newest sample of each modality on one inference thread, by deadline."""

    def __init__(self, name: str = "encoder", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._encoder: Any = None
        self._scheduler: Scheduler | None = None
        self._requests: Requests | None = None
        self._service: Any = None
        self._pictures: dict[Modality, PictureInput] = {}
        self._measurements: dict[Modality, MeasurementInput] = {}
        self._audio: AudioInput | None = None
        self._imu: ImuInput | None = None
        self._outputs: dict[Modality, Any] = {}
        self._latency: dict[Modality, StageTimes] = {}
        self._last_latency: dict[Modality, float] = {}
        self._published: dict[Modality, RateMeter] = {}
        self._stale: dict[Modality, tuple[int, RateMeter]] = {}
        self._withdraw: list[Any] = []

    def configure(self) -> None:
        from imagebind_msgs.msg import Embedding
        from imagebind_msgs.srv import Encode

        chosen = ThermalRange(*(self.settings[f"thermal.{name}"] for name in ("mode", "low", "high")))
        for modality, source in ((Modality.AUDIO, AudioInput), (Modality.IMU, ImuInput)):
            if modality.value in self.settings["modalities"]:
                source.expect(self)
        self._encoder = load_model(self.settings, [folder for folder in self.settings["bound"] if folder])
        self._encoder.thermal_range = chosen
        streamed = [m for m in (*TOPICS, Modality.AUDIO, Modality.IMU) if m in self._encoder.modalities]
        streamed += self._further()
        for modality in streamed:
            topic = f"embedding/{modality}"
            self._outputs[modality] = self.publisher(Embedding, topic, qos.RESULT)
            self._latency[modality], self._published[modality] = StageTimes(), RateMeter()
            self._withdraw.append(self.exchange.announce(self.resolve_topic_name(topic)))
            self.diagnostics.add(str(modality), partial(self._report, modality))
        self._service = self.create_service(Encode, "~/encode", self._on_encode)
        self.get_logger().info(
            f"model {model_name(self.settings)} with {', '.join(sorted(self._encoder.modalities))}"
        )

    def activate(self) -> None:
        scheduler = self._scheduler = Scheduler(self.errors.add)
        self._requests = Requests(scheduler, self)
        for modality in self._outputs:
            if modality is Modality.AUDIO:
                self._add_audio(scheduler)
            elif modality is Modality.IMU:
                self._add_imu(scheduler)
            elif modality in TOPICS:
                self._add_pictures(modality, scheduler)
            else:
                self._add_measurements(modality, scheduler)
        scheduler.start()
        for source in self._sources():
            source.open()

    def deactivate(self) -> None:
        for source in self._sources():
            source.close()
        if self._requests is not None:
            self._requests.close()
        if self._scheduler is not None:
            self._scheduler.stop()
        self._pictures, self._measurements, self._audio, self._imu = {}, {}, None, None
        self._scheduler = self._requests = None

    def cleanup(self) -> None:
        for withdraw in self._withdraw:
            withdraw()
        if self._service is not None:
            self.destroy_service(self._service)
        for modality in self._outputs:
            self.diagnostics.remove(str(modality))
        self._withdraw, self._service, self._encoder = [], None, None
        self._outputs, self._latency, self._published = {}, {}, {}

    def _further(self) -> list[Modality]:
        """Senses that were bound and are not ImageBind's, of those whose card says which messages they read."""
        further = self._encoder.modalities - frozenset(Modality)
        deaf = [m for m in further if not self._encoder.input_of(m).get("type")]
        for modality in deaf:
            self.get_logger().warning(
                f"the card of the bound {modality} tower names no message type (input: type): nothing is subscribed"
            )
        return sorted(further - set(deaf))

    def _sources(self) -> list[PictureInput | MeasurementInput | AudioInput | ImuInput]:
        made = (*self._pictures.values(), *self._measurements.values(), self._audio, self._imu)
        return [source for source in made if source is not None]

    def _add_pictures(self, modality: Modality, scheduler: Scheduler) -> None:
        rate = self.settings[f"rate.{modality}"]
        source = PictureInput(
            self,
            modality,
            lambda: scheduler.notify(str(modality)),
            rate=rate,
            transport=self.settings["transport"],
        )
        self._pictures[modality] = source
        scheduler.add(str(modality), rate, lambda: self._encode_picture(source), limit=False)

    def _add_measurements(self, modality: Modality, scheduler: Scheduler) -> None:
        rate = self.settings["rate.bound"]
        source = MeasurementInput(
            self,
            modality,
            self._encoder.input_of(modality),
            lambda: scheduler.notify(str(modality)),
            rate=rate,
        )
        self._measurements[modality] = source
        scheduler.add(str(modality), rate, lambda: self._encode_measurement(source), limit=False)

    def _add_audio(self, scheduler: Scheduler) -> None:
        hop = self.settings["hop"]
        source = self._audio = AudioInput(
            self,
            self._encoder.front_end(Modality.AUDIO),
            hop,
            lambda: scheduler.notify("audio"),
            reliable=self.settings["audio_reliable"],
            coding=self.settings["audio_format"],
        )
        scheduler.add("audio", 1.0 / hop, lambda: self._encode_audio(source), limit=False)

    def _add_imu(self, scheduler: Scheduler) -> None:
        hop = self.settings["imu_hop"]
        window, first = self._encoder.window(Modality.IMU), self._encoder.shortest_window(Modality.IMU)
        stream = ImuStream(window, hop, first=first)
        source = self._imu = ImuInput(self, stream, lambda: scheduler.notify("imu"))
        scheduler.add("imu", 1.0 / hop, lambda: self._encode_imu(source), limit=False)

    def _encode_picture(self, source: PictureInput) -> None:
        source.gate.rate = self.settings[f"rate.{source.modality}"]
        sample = source.take(self.settings["max_age"])
        if sample is not None:
            self._publish(self._encoder.encode(source.modality, [sample])[0])

    def _encode_measurement(self, source: MeasurementInput) -> None:
        sample = source.take(self.settings["max_age"])
        if sample is not None:
            self._publish(self._encoder.encode(source.modality, [sample])[0])

    def _encode_audio(self, source: AudioInput) -> None:
        ready = source.stream.next_input()
        if ready is None:
            return
        tensor, last, end = ready
        if self._too_old(end):
            source.stale += 1
            return
        sample = replace(last, stamp=end)
        self._publish(self._encoder.encode_inputs(Modality.AUDIO, [tensor], [sample])[0])

    def _encode_imu(self, source: ImuInput) -> None:
        sample = source.take()
        if sample is None:
            return
        if self._too_old(sample.stamp):
            source.stale += 1
            return
        self._publish(self._encoder.encode(Modality.IMU, [sample])[0])

    def _too_old(self, stamp: int) -> bool:
        max_age = self.settings["max_age"]
        return max_age > 0 and self.now() - stamp > max_age * 1e9

    def _publish(self, embedding: Any) -> None:
        modality = embedding.modality
        publisher = self._outputs[modality]
        self.exchange.publish(publisher.topic_name, embedding)
        if publisher.get_subscription_count() > 0:
            publisher.publish(embedding_message(embedding, model_name(self.settings)))
        self._published[modality].tick()
        if embedding.stamp > 0:
            latency = self._last_latency[modality] = (self.now() - embedding.stamp) / 1e9
            self._latency[modality].add(latency)

    async def _on_encode(self, request: Any, response: Any) -> Any:
        from imagebind_node.nodes.contents import embed_content

        def work() -> Any:
            embedding = embed_content(request.content, self._encoder)
            return embedding_message(embedding, model_name(self.settings))

        try:
            if self._requests is None:
                raise self.inactive_error()
            response.embedding = await self._requests.call(work)
            response.success = True
        except Exception as error:  # noqa: BLE001 - the client gets it, and the log
            self.errors.add("encode", error)
            response.success, response.message = False, " ".join(str(error).split())
        return response

    def _report(self, modality: Modality) -> Report:
        others = {Modality.AUDIO: self._audio, Modality.IMU: self._imu}
        newest: dict[Modality, Any] = {**self._pictures, **self._measurements}
        source = others[modality] if modality in others else newest.get(modality)
        if source is None or self._scheduler is None:
            return Report(OK, "inactive")
        latency, work = self._latency[modality], self._scheduler.times(str(modality))
        values = {
            "input rate (Hz)": source.arrivals.rate(),
            "input age (s)": source.arrivals.age(),
            "embedding rate (Hz)": self._published[modality].rate(),
            "latency p50 (ms)": latency.percentile(50) * 1e3,
            "latency p95 (ms)": latency.percentile(95) * 1e3,
            "encoding p50 (ms)": work.percentile(50) * 1e3,
            "encoding p95 (ms)": work.percentile(95) * 1e3,
            "received": source.received,
            "dropped": source.dropped,
            "too old": source.stale,
            "errors": self.errors.counts[source.topic] + self.errors.counts[str(modality)],
            "last error": self.errors.last.get(str(modality)) or self.errors.last.get(source.topic, ""),
        }
        values |= source.figures()
        last_error = f"; last error: {values['last error']}" if values["last error"] else ""
        if source.received == 0:
            return Report(OK, f"nothing received on {source.topic}", values)
        if source.arrivals.rate() == 0:
            return Report(WARN, f"{source.topic} has fallen silent{last_error}", values)
        if self._went_stale(modality, source.stale) and self._published[modality].rate() == 0:
            return Report(WARN, "every sample is older than max_age: do the clocks agree?", values)
        if source.arrivals.whole() and self._published[modality].rate() == 0:
            why = f": {source.dropping()}" if source.dropping() else last_error
            return Report(WARN, f"nothing that comes on {source.topic} can be used{why}", values)
        if self._last_latency.get(modality, 0.0) < -_FUTURE_SECONDS:
            ahead = -self._last_latency[modality]
            return Report(
                WARN, f"stamps of {source.topic} lie {ahead:.1f} s ahead: do the clocks agree?", values
            )
        complaint = source.complaint() if isinstance(source, PictureInput) else ""
        return Report(WARN, complaint, values) if complaint else Report(OK, "encoding", values)

    def _went_stale(self, modality: Modality, count: int) -> bool:
        """True if `count`, of samples that were too old, has grown in the last seconds."""
        before, meter = self._stale.get(modality, (0, RateMeter()))
        if count != before:
            meter.tick()
        self._stale[modality] = (count, meter)
        return meter.rate() > 0


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `encoder`."""
    return run(lambda: [EncoderNode()], args)


if __name__ == "__main__":
    sys.exit(main())
