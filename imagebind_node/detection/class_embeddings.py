"""The swap: a detector's classifier whose rows are embeddings of any modality, replaced while frames flow.

A detector with embedded regions needs only a matrix `W[classes, dim]` to name them. Here `W` holds embeddings of
sounds, texts, pictures or sums of them; replacing `W` retargets the detector without retraining (ImageBind,
Girdhar et al. 2023, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from imagebind_node.detection.detections import Detections, Regions, non_maximum_suppression
from imagebind_node.embedding import Embedding, Space, stack
from imagebind_node.errors import InvalidInputError


@dataclass(frozen=True)
class ClassMatrix:
    """One immutable state of the classifier: labels and the unit rows that belong to them, float32 (C, dim)."""

    labels: tuple[str, ...]
    rows: np.ndarray


class ClassEmbeddings:
    """A replaceable classifier over region embeddings of one space.

    `replace` may be called from any thread; a frame that is being scored keeps the state it started with, the
    next frame sees the new one, and no frame ever sees half of each.

    The score of a region for a class is the share of unrelated cues that fit the region worse: with `null_bank`,
    unit rows (M, dim) of unrelated cues, the similarity is standardised by the region's similarities to the bank
    and mapped through the normal distribution to 0..1. 0.5 is a cue like any other, 0.99 beats 99 % of them, so
    scores mean the same from one query to the next. Without a bank the score is (1 + cosine) / 2.
    """

    def __init__(self, space: Space, null_bank: np.ndarray | None = None) -> None:
        self.space = space
        if null_bank is not None and (
            null_bank.ndim != 2 or null_bank.shape[1] != space.dim or len(null_bank) < 2
        ):
            raise InvalidInputError(f"null bank must be (M >= 2, {space.dim}), got {null_bank.shape}")
        self._null_bank = null_bank
        self._matrix = ClassMatrix((), np.zeros((0, space.dim), np.float32))

    @property
    def matrix(self) -> ClassMatrix:
        """The present state; hold on to it while working on one frame."""
        return self._matrix

    def replace(self, labels: Sequence[str], embeddings: Sequence[Embedding | Sequence[Embedding]]) -> None:
        """Swap in new classes, each an embedding or a list of them (an ensemble, averaged).

        Raises SpaceMismatchError for embeddings of another space and InvalidInputError if labels and embeddings
        do not pair up or an embedding abstained; the present classes then stay.
        """
        if len(labels) != len(embeddings):
            raise InvalidInputError(f"{len(labels)} labels for {len(embeddings)} class embeddings")
        rows = np.zeros((len(labels), self.space.dim), np.float32)
        for row, (label, members) in zip(rows, zip(labels, embeddings)):
            ensemble = [members] if isinstance(members, Embedding) else list(members)
            if any(member.abstained for member in ensemble):
                raise InvalidInputError(
                    f"the cue for class {label!r} abstained: too little evidence to search for it"
                )
            for member in ensemble:
                self.space.require_same(member.space)
            mean = stack(ensemble).mean(0)
            row[:] = mean / np.linalg.norm(mean)
        rows.flags.writeable = False
        self._matrix = ClassMatrix(tuple(labels), rows)

    def clear(self) -> None:
        """Drop all classes: nothing is detected until the next `replace`."""
        self.replace((), ())

    def similarities(self, regions: np.ndarray, matrix: ClassMatrix | None = None) -> np.ndarray:
        """Cosine of every region (N, dim) with every class: float32 (N, C)."""
        return regions @ (matrix or self._matrix).rows.T

    def scores(self, regions: np.ndarray, similarities: np.ndarray) -> np.ndarray:
        """Calibrated scores, 0 to 1, float32 (N, C), of `similarities` of `regions` (see the class)."""
        if self._null_bank is None:
            return (1.0 + similarities) / 2.0
        null = regions @ self._null_bank.T
        deviation = np.maximum(null.std(1, keepdims=True), 1e-6)
        return ndtr((similarities - null.mean(1, keepdims=True)) / deviation).astype(np.float32)

    def detect(
        self, regions: Regions, *, min_score: float = 0.0, max_detections: int = 10, nms_iou: float = 0.5
    ) -> Detections:
        """Name regions by their best class; drop scores under `min_score` and overlapping boxes of one class."""
        matrix = self._matrix
        if not len(regions) or not matrix.labels:
            return Detections.empty()
        similarities = self.similarities(regions.embeddings, matrix)
        scores = self.scores(regions.embeddings, similarities)
        best = similarities.argmax(1)
        pick = np.arange(len(regions))
        similarity, score = similarities[pick, best], scores[pick, best]
        kept: list[int] = []
        for class_id in range(len(matrix.labels)):
            members = np.flatnonzero((best == class_id) & (score >= min_score))
            kept += members[
                non_maximum_suppression(regions.boxes[members], similarity[members], nms_iou)
            ].tolist()
        kept = sorted(kept, key=lambda i: -similarity[i])[:max_detections]
        return Detections(
            boxes=regions.boxes[kept],
            scores=score[kept],
            labels=tuple(matrix.labels[best[i]] for i in kept),
            similarities=similarity[kept],
        )
