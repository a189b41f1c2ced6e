"""A recording through the same streams as in the encoder node, but by the recording's own time: nothing is dropped
because a machine was busy, so that every run gives the same embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import AudioSample, Modality
from imagebind_node.sensors.bag import CAMERA_INFO, Recorded, sample_of
from imagebind_node.streaming.audio_stream import AudioStream
from imagebind_node.streaming.imu_stream import ImuStream
from imagebind_node.streaming.rate_gate import RateGate


class OfflineEncoder:
    """Embeds the messages of a recording one by one.

    rates: pictures a second at most for each modality (0 or missing: all); hop, imu_hop: seconds of new sound and
    motion between two embeddings. `problems` counts messages a topic that could not be used.
    """

    def __init__(
        self, encoder: Encoder, *, rates: Mapping[Modality, float], hop: float = 0.1, imu_hop: float = 0.5
    ) -> None:
        self._encoder, self._rates, self._hop, self._imu_hop = encoder, rates, hop, imu_hop
        self._now = 0.0
        self._gates: dict[str, RateGate] = {}
        self._sounds: dict[str, AudioStream] = {}
        self._motions: dict[str, ImuStream] = {}
        self.problems: Counter[str] = Counter()
        self.last_problem = ""

    def embed(self, messages: Iterable[Recorded]) -> Iterator[tuple[str, Embedding]]:
        """(topic, embedding) in the order of recording, for the modalities that the encoder has."""
        for recorded in messages:
            if recorded.kind == CAMERA_INFO:
                continue
            self._now = recorded.time / 1e9
            try:
                embedding = self._embed(recorded)
            except InvalidInputError as error:
                self.problems[recorded.topic] += 1
                self.last_problem = str(error)
                continue
            if embedding is not None:
                yield recorded.topic, embedding

    def _embed(self, recorded: Recorded) -> Embedding | None:
        modality, sample, extra = sample_of(recorded)
        topic, encoder = recorded.topic, self._encoder
        if modality not in encoder.modalities:
            return None
        if modality is Modality.IMU:
            if topic not in self._motions:
                self._motions[topic] = ImuStream(
                    encoder.window(modality), self._imu_hop, first=encoder.shortest_window(modality)
                )
            motion = self._motions[topic]
            if not motion.push(recorded.stamp, extra):
                return None
            window = motion.next_window(recorded.message.header.frame_id)
            return None if window is None else encoder.encode(modality, [window])[0]
        if isinstance(sample, AudioSample):
            if topic not in self._sounds:
                front_end = encoder.front_end(modality)
                assert front_end is not None
                self._sounds[topic] = AudioStream(front_end, self._hop)
            sound = self._sounds[topic]
            ready = sound.next_input() if sound.push(sample, extra) else None
            if ready is None:
                return None
            tensor, last, end = ready
            return encoder.encode_inputs(modality, [tensor], [replace(last, stamp=end)])[0]
        if topic not in self._gates:
            self._gates[topic] = RateGate(self._rates.get(modality, 0.0), clock=lambda: self._now)
        return encoder.encode(modality, [sample])[0] if self._gates[topic].admit() else None
