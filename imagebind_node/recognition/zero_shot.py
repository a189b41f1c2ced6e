"""Zero-shot recognition: an embedding of any modality against the embeddings of class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.recognition.calibration import softmax
from imagebind_node.recognition.class_set import ClassSet
from imagebind_node.samples import Modality

UNKNOWN = "unknown"
# `imagebind-node calibrate` on 87 sounds and pictures of Tux Paint's stamps with `concept`: 0.12 and 0.087.
DEFAULT_TEMPERATURE = 0.1
TextEncoder = Callable[[list[str]], np.ndarray]
"""Sentences -> unit rows float32 (N, dim)."""


@dataclass(frozen=True)
class Recognition:
    """labels, probabilities (sum 1 over all classes and unknown) and cosines, best first; cut to the top k.

    abstained: the embedding had too little evidence, or none of the classes is more likely than unknown.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    cosines: tuple[float, ...]
    abstained: bool = False


def text_encoder(encoder: object) -> TextEncoder:
    """The text tower of an Encoder as a function, 256 sentences at a time."""

    def encode(sentences: list[str]) -> np.ndarray:
        from imagebind_node.embedding import stack

        rows = [
            stack(encoder.encode(Modality.TEXT, sentences[i : i + 256]))  # type: ignore[attr-defined]
            for i in range(0, len(sentences), 256)
        ]
        return np.concatenate(rows)

    return encode


class ZeroShotClassifier:
    """Class embeddings of one class set, one matrix a modality since prompts differ.

    temperature and unknown_cosine of the class set apply; without a temperature 0.1 is used, which suits `concept`
    among many classes. `recognition.calibration` fits both to labelled embeddings.
    """

    def __init__(self, class_set: ClassSet, space: Space, encode_text: TextEncoder) -> None:
        self.class_set = class_set
        self.space = space
        self._encode_text = encode_text
        self._rows: dict[Modality, np.ndarray] = {}

    def rows(self, modality: Modality) -> np.ndarray:
        """Class embeddings for inputs of `modality`: float32 (C, dim), unit rows, means over prompts."""
        if modality not in self._rows:
            prompts = [self.class_set.prompts(label, modality) for label in self.class_set.labels]
            vectors = self._encode_text([sentence for sentences in prompts for sentence in sentences])
            ends = np.cumsum([len(sentences) for sentences in prompts])
            means = np.stack([part.mean(0) for part in np.split(vectors, ends[:-1])])
            norms = np.linalg.norm(means, axis=1, keepdims=True)
            if (norms < 1e-6).any():
                label = self.class_set.labels[int(norms.argmin())]
                raise InvalidInputError(f"the prompts of class {label!r} cancel out: name it otherwise")
            self._rows[modality] = (means / norms).astype(np.float32)
        return self._rows[modality]

    def cosines(self, embeddings: Sequence[Embedding]) -> np.ndarray:
        """Float32 (N, C) for embeddings of one modality."""
        from imagebind_node.embedding import stack

        if len({embedding.modality for embedding in embeddings}) != 1:
            raise InvalidInputError("recognise one modality at a time: prompts differ from one to the next")
        self.space.require_same(embeddings[0].space)
        return stack(embeddings) @ self.rows(embeddings[0].modality).T

    def probabilities(self, cosines: np.ndarray) -> np.ndarray:
        """Float64 (N, C), or (N, C + 1) with unknown last if the class set has an unknown_cosine."""
        logits = np.asarray(cosines, dtype=np.float64)
        if self.class_set.unknown_cosine is not None:
            unknown = np.full((len(logits), 1), self.class_set.unknown_cosine)
            logits = np.concatenate([logits, unknown], 1)
        return softmax(logits / (self.class_set.temperature or DEFAULT_TEMPERATURE))

    def recognise(self, embedding: Embedding, top: int = 5) -> Recognition:
        """The `top` most likely classes. An embedding without a vector gives no labels and abstains."""
        if embedding.vector.size == 0:
            self.space.require_same(embedding.space)
            return Recognition((), (), (), abstained=True)
        cosines = self.cosines([embedding])
        shares = self.probabilities(cosines)[0]
        names = self.class_set.labels
        values = list(map(float, cosines[0]))
        if len(shares) > len(names):
            names, values = (*names, UNKNOWN), [*values, float(self.class_set.unknown_cosine or 0.0)]
        order = np.argsort(-shares, kind="stable")[:top]
        return Recognition(
            labels=tuple(names[i] for i in order),
            probabilities=tuple(float(shares[i]) for i in order),
            cosines=tuple(values[i] for i in order),
            abstained=embedding.abstained or names[order[0]] == UNKNOWN,
        )
