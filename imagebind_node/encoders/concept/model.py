"""The encoder `concept`: 384-d, weights in the repository, made for CPUs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.base import Encoder, register_encoder
from imagebind_node.encoders.concept import inertial, log_mel, minilm
from imagebind_node.encoders.concept.conse import conse, top
from imagebind_node.encoders.concept.efficientnet import INPUT_SIDE
from imagebind_node.encoders.concept.image_tower import ImageTower
from imagebind_node.encoders.concept.picture import contrast, depth_picture, square, thermal_picture
from imagebind_node.encoders.concept.sound_evidence import SoundEvidence
from imagebind_node.encoders.concept.sound_patches import sound_patches
from imagebind_node.encoders.concept.weights import load_network, load_tensors, model_dir, read_card, verified
from imagebind_node.encoders.concept.yamnet import YAMNet
from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.imu import preprocess_imu
from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Modality,
    Sample,
    TextSample,
    ThermalSample,
)

TOWERS = frozenset(Modality)
PICTURES = frozenset({Modality.VISION, Modality.DEPTH, Modality.THERMAL})
WINDOWS = {Modality.AUDIO: log_mel.WINDOW_SECONDS, Modality.IMU: inertial.WINDOW_SECONDS}
SHORTEST_WINDOWS = {Modality.IMU: inertial.SHORTEST_STEPS / inertial.RATE}
LABELS = 5
AUDIO_BATCH = 64
# Of the image tower; the others are small and stay in float32.
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class ConceptEncoder(Encoder):
    """Pictures, sounds and words as mixtures of what small classifiers recognise in them.

    vision: EfficientNet-Lite0. depth, thermal: the same on percentile-stretched grey. audio: YAMNet, the mean over
    0.975 s patches. imu: activities of a person, 2.56 s windows. text: MiniLM. Modalities share the space of MiniLM
    sentence embeddings, centred.

    playback_rates: how fast whole sounds are played to YAMNet, 1 as recorded; (1.0,) takes a third of the time. May be
    set at any time. Streams are always heard as they are.
    """

    name = "concept"

    def __init__(
        self,
        folder: Path,
        modalities: Iterable[Modality] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.modalities = TOWERS if modalities is None else frozenset(modalities)
        self.folder = folder
        card = read_card(folder)
        self.space = Space(card["space"]["id"], int(card["space"]["dim"]))
        self._tables = load_tensors(folder, "tables.safetensors")
        classes = json.loads(verified(folder, "classes.json").read_text(encoding="utf-8"))
        self._image_names, self._audio_names = classes["image"], classes["audio"]
        self._constants = card["conse"]
        self.playback_rates = tuple(self._constants["audio_playback_rates"])
        self._sounds = SoundEvidence(classes, self._constants)
        if self.modalities & PICTURES:
            self._images = ImageTower(folder, dtype)
        if Modality.AUDIO in self.modalities:
            # Not fused: for 512 channels of 6x4 the fused kernel is ten times slower.
            network = load_network(YAMNet, folder, "audio.safetensors")
            self.audio_network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if Modality.IMU in self.modalities:
            network = load_network(inertial.InertialNetwork, folder, "imu.safetensors")
            self._imu_network = cast(inertial.InertialNetwork, network)
            self._imu_names = list(card["activities"])
        if Modality.TEXT in self.modalities:
            self._text_network = load_network(minilm.MiniLM, folder, "text.safetensors")
            self._tokenizer = minilm.load_tokenizer(verified(folder, "tokenizer.json"))

    def window(self, modality: Modality) -> float:
        return WINDOWS.get(modality, 0.0)

    def shortest_window(self, modality: Modality) -> float:
        return SHORTEST_WINDOWS.get(modality, self.window(modality))

    def front_end(self, modality: Modality) -> log_mel.StreamingLogMel | None:
        return log_mel.StreamingLogMel() if modality is Modality.AUDIO else None

    def preprocess(self, modality: Modality, sample: Sample) -> Tensor:
        """vision, depth, thermal: uint8 (224, 224, 3); audio: float32 (P, 96, 64); text: int64 (T,);
        imu: (6, 128), fewer steps for what is shorter than 2.56 s."""
        self.require(modality)
        if isinstance(sample, ImuSample):
            steps = inertial.steps_of(float(sample.times[-1] - sample.times[0]))
            return preprocess_imu(sample, rate=inertial.RATE, duration=steps / inertial.RATE)
        if isinstance(sample, AudioSample):
            return sound_patches(sample, self.playback_rates)
        if isinstance(sample, TextSample):
            return minilm.tokenize(self._tokenizer, [sample.data])[0]
        if isinstance(sample, DepthSample):
            pixels = depth_picture(sample)
        elif isinstance(sample, ThermalSample):
            pixels = thermal_picture(sample, self.thermal_range)
        elif isinstance(sample, ImageSample):
            pixels = sample.data
        else:
            raise InvalidInputError("model 'concept' embeds single pictures: pass frames of the video")
        return torch.from_numpy(np.ascontiguousarray(square(pixels, INPUT_SIDE)))

    @torch.inference_mode()
    def forward(self, modality: Modality, batch: Tensor) -> Tensor:
        """vision, depth, thermal: (B, 224, 224, 3) uint8; audio: (B, P, 96, 64); text: (B, T) ids padded with 0;
        imu: (B, 6, 32 to 128)."""
        self.require(modality)
        if modality is Modality.IMU:
            return self.embed_activities(self.activities(batch))
        if modality is Modality.TEXT:
            return self.centre_text(self._text_network(batch, batch != 0))
        if modality is Modality.AUDIO:
            return self.embed_audio_classes(self.audio_classes(batch))
        return self.embed_image_classes(self.image_logits(batch))

    def image_tower(self, dtype: torch.dtype, count: int, side: int) -> ImageTower:
        """An image tower computing in `dtype`, for `count` pictures of `side` at once.

        In float32 this encoder's own if it does so, too: there the size makes no difference.
        """
        self.require(Modality.VISION)
        if dtype is torch.float32 and self._images.dtype is dtype:
            return self._images
        return ImageTower(self.folder, dtype, count, side)

    def image_logits(self, batch: Tensor) -> Tensor:
        """uint8 (B, 224, 224, 3) -> ImageNet logits (B, 1000)."""
        return torch.cat([self._images.logits(part) for part in batch.split(self._images.batch)])

    def cell_logits(self, batch: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> ImageNet logits of every 32x32 cell (B, ceil(H / 32), ceil(W / 32), 1000)."""
        return self._images.dense(batch)

    def embed_image_classes(self, logits: Tensor) -> Tensor:
        """ImageNet logits (..., 1000) -> unit vectors (..., 384)."""
        return conse(
            (logits / self._constants["image_temperature"]).softmax(-1),
            self._tables["image.rows"],
            self._constants["image_classes"],
        )

    def embed_coco_classes(self, probabilities: Tensor, count: int) -> Tensor:
        """COCO probabilities (..., 80) -> mixtures (..., 384) of the `count` best; length: how likely they are."""
        return top(probabilities, count) @ self._tables["coco.rows"]

    def audio_classes(self, batch: Tensor) -> Tensor:
        """Log-mel patches (B, P, 96, 64) -> AudioSet probabilities (B, 521), mean over the patches."""
        # In parts: the first layers' activations of a long recording would take gigabytes.
        parts = batch.flatten(0, 1).split(AUDIO_BATCH)
        return torch.cat([self.audio_network(part) for part in parts]).unflatten(0, batch.shape[:2]).mean(1)

    def embed_audio_classes(self, probabilities: Tensor) -> Tensor:
        """AudioSet probabilities (..., 521) -> unit vectors (..., 384)."""
        # All classes, not the best few: sounds are told less surely than things.
        return F.normalize(self._sounds.weights(probabilities) @ self._tables["audio.rows"], dim=-1)

    def activities(self, batch: Tensor) -> Tensor:
        """Windows (B, 6, 32 to 128) of inertial measurements -> probabilities (B, 6) of activities."""
        return (self._imu_network(batch) / self._constants["imu_temperature"]).softmax(-1)

    def embed_activities(self, probabilities: Tensor) -> Tensor:
        """Activity probabilities (..., 6) -> unit vectors (..., 384)."""
        return conse(probabilities, self._imu_network.rows, inertial.CLASSES)

    def centre_text(self, vectors: Tensor) -> Tensor:
        """MiniLM vectors (..., 384) -> unit vectors of this space."""
        return F.normalize(vectors - self._tables["image.mean"], dim=-1)

    @torch.inference_mode()
    def encode_inputs(
        self, modality: Modality, inputs: list[Tensor], samples: list[Sample]
    ) -> list[Embedding]:
        """Embed preprocessed inputs with confidence, abstention and the names of the best classes."""
        self.require(modality)
        if modality is Modality.TEXT:
            return [
                self._wrap(modality, sample, self.forward(modality, tokens[None])[0].numpy())
                for tokens, sample in zip(inputs, samples)
            ]
        if modality is Modality.AUDIO:
            probabilities = torch.cat([self.audio_classes(patches[None]) for patches in inputs])
            vectors = self.embed_audio_classes(probabilities)
            evidence = self._sounds.weights(probabilities)
            confidences = self._sounds.confidence(probabilities)
            names, floor = self._audio_names, self._constants["audio_floor"]
        elif modality is Modality.IMU:
            # One by one, since they may differ in length.
            windows = [window[None] for window in inputs]
            evidence = torch.cat([self.activities(window) for window in windows])
            vectors = self.embed_activities(evidence)
            # What lies outside the training data still gets an activity from the network: it means nothing.
            plausible = [self._imu_network.plausible(w, row[None]) for w, row in zip(windows, evidence)]
            confidences = evidence.amax(-1) * torch.cat(plausible)
            names, floor = self._imu_names, self._constants["imu_floor"]
        else:
            logits = torch.cat([self.image_logits(pixels[None]) for pixels in inputs])
            vectors, evidence = self.embed_image_classes(logits), logits.softmax(-1)
            # A lens cap or a blank wall still gets a class from the network: without contrast it means nothing.
            least = self._constants["image_contrast"]
            confidences = evidence.amax(-1) * torch.tensor([contrast(p.numpy()) >= least for p in inputs])
            names, floor = self._image_names, self._constants["image_floor"]
        imu = modality is Modality.IMU
        embeddings = []
        for tensor, sample, vector, row, confidence in zip(
            inputs, samples, vectors.numpy(), evidence, confidences.tolist()
        ):
            scores, indices = row.topk(LABELS)
            labels = tuple((names[i], score) for i, score in zip(indices.tolist(), scores.tolist()))
            if not vector.any():
                # Not one class has any weight: there is no direction to give.
                vector = np.zeros(0, np.float32)
            embeddings.append(
                self._wrap(
                    modality,
                    sample,
                    vector,
                    confidence=confidence,
                    abstained=confidence < floor,
                    labels=labels,
                    window=tensor.shape[-1] / inertial.RATE if imu else self.window(modality),
                )
            )
        return embeddings


@register_encoder("concept")
def load(
    *, checkpoint: str | Path | None, modalities: Iterable[Modality] | None, device: str, precision: str
) -> ConceptEncoder:
    """`checkpoint`: another folder with the same files and a card."""
    if device != "cpu":
        raise InvalidInputError(f"model 'concept' runs on the CPU only, not on {device!r}: use device cpu")
    if precision not in PRECISIONS:
        raise InvalidInputError(
            f"model 'concept' has no {precision} mode: use precision {' or '.join(PRECISIONS)}"
        )
    folder = Path(checkpoint) if checkpoint else model_dir("concept")
    return ConceptEncoder(folder, modalities, PRECISIONS[precision])
