"""The swap: a detector's classifier whose rows are embeddings of any modality, replaced while frames flow.

A detector with embedded regions needs only a matrix `W[classes, dim]` to name them. Here `W` holds embeddings
of sounds, texts, pictures or sums of them; replacing `W` retargets the detector without retraining
(ImageBind, Girdhar et al. 2023, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, ndtr, softmax

from imagebind_node.detection.detections import Detections, Regions, non_maximum_suppression
from imagebind_node.embedding import Embedding, Space, stack
from imagebind_node.errors import InvalidInputError

if TYPE_CHECKING:
    from imagebind_node.bridge import Bridge

SMALL_PRODUCT = 200_000  # multiplications that BLAS leaves to one thread
SCORES = ("percentile", "probability", "sigmoid")


@dataclass(frozen=True)
class ClassMatrix:
    """One immutable state of the classifier; rows are unit vectors.

    labels: C names, `rows` float32 (C, dim) belong to them. negatives: float32 (K, dim), what the classes are
    not. background: float32 (B, dim), what else there may be in a picture. null: float32 (2, C), mean and
    deviation of each class over the null regions.
    """

    labels: tuple[str, ...]
    rows: np.ndarray
    negatives: np.ndarray
    background: np.ndarray
    null: np.ndarray


class ClassEmbeddings:
    """A replaceable classifier over region embeddings.

    space: where class embeddings come from, and regions live, unless `bridge` maps the classes of `space`,
    its source, into the regions' space, its target.

    `replace` may be called from any thread; a frame that is being scored keeps the state it started with, the
    next frame sees the new one, and no frame ever sees half of each.

    `score` chooses what a detection's score means:

    - "percentile": how unusual it is for something unrelated to fit so well: 0.99 says that one unrelated
    region
      in 100 does, for any query, so that one threshold serves them all. The similarity is standardised by the
      query's similarities to `null_regions`, unit rows (M >= 2, dim) of regions of unrelated pictures, and
      mapped through the normal distribution (zero normalisation of Auckenthaler et al. 2000). `null_bank`,
      unit rows of unrelated cues, standardises by the region first (test normalisation); alone it does not
      make queries comparable (docs/detection.md has the measurement). Without both the score is (1 + cosine)
      / 2, which means nothing across queries.
    - "probability": softmax over classes and background rows of similarity / temperature. With one class and
      no
      background it is always 1: give background rows.
    """

    def __init__(
        self,
        space: Space,
        null_bank: np.ndarray | None = None,
        *,
        score: str = "percentile",
        temperature: float = 0.05,
        bridge: Bridge | None = None,
        null_regions: np.ndarray | None = None,
    ) -> None:
        if score not in SCORES:
            raise InvalidInputError(f"unknown score {score!r}: use one of {', '.join(SCORES)}")
        if not temperature > 0:
            raise InvalidInputError(f"temperature must be above 0, got {temperature}")
        if bridge is not None:
            bridge.source.require_same(space)
        dim = space.dim if bridge is None else bridge.target.dim
        for name, null in (("null bank", null_bank), ("null regions", null_regions)):
            if null is not None and (null.ndim != 2 or null.shape[1] != dim or len(null) < 2):
                raise InvalidInputError(f"{name} must be (M >= 2, {dim}), got {null.shape}")
        self.space = space
        self._bridge = bridge
        self._dim = dim
        self._null_bank = null_bank
        self._null_regions = null_regions
        self._score = score
        self._temperature = temperature
        nothing = np.zeros((0, dim), np.float32)
        self._matrix = ClassMatrix((), nothing, nothing, nothing, np.zeros((2, 0), np.float32))

    @property
    def default_min_score(self) -> float:
        """A threshold for `detect` that suits what this classifier's scores mean.

        0.95 for calibrated percentiles: one unrelated region in 20 passes. 0.5 for the others.
        """
        calibrated = self._null_bank is not None or self._null_regions is not None
        return 0.95 if self._score == "percentile" and calibrated else 0.5

    @property
    def matrix(self) -> ClassMatrix:
        """The present state; hold on to it while working on one frame."""
        return self._matrix

    def replace(
        self,
        labels: Sequence[str],
        embeddings: Sequence[Embedding | Sequence[Embedding]],
        *,
        negatives: Sequence[Embedding] = (),
        background: Sequence[Embedding] = (),
    ) -> None:
        """Swap in new classes, each an embedding or a list of them (an ensemble, averaged).

        negatives: a region closer to one of these than to its class is dropped (other animals, when looking
        for a dog). background: share the probability with the classes, see the class.

        Raises SpaceMismatchError for embeddings of another space and InvalidInputError if labels and
        embeddings do not pair up, a label comes twice or an embedding abstained; the present classes then
        stay.
        """
        if len(labels) != len(embeddings):
            raise InvalidInputError(f"{len(labels)} labels for {len(embeddings)} class embeddings")
        if len(set(labels)) != len(labels):
            raise InvalidInputError(
                "a class label comes twice: give its embeddings as one list, they are averaged"
            )
        rows = self._rows([(f"class {label!r}", e) for label, e in zip(labels, embeddings, strict=True)])
        self._matrix = ClassMatrix(
            labels=tuple(labels),
            rows=rows,
            negatives=self._rows([("a negative", e) for e in negatives]),
            background=self._rows([("the background", e) for e in background]),
            null=self._null_statistics(rows),
        )

    def _null_statistics(self, rows: np.ndarray) -> np.ndarray:
        if self._null_regions is None:
            return np.stack([np.zeros(len(rows), np.float32), np.ones(len(rows), np.float32)])
        values = self._by_region(self._null_regions, _in_small_products(self._null_regions, rows))
        return np.stack([values.mean(0), np.maximum(values.std(0), 1e-6)])

    def _rows(self, named: Sequence[tuple[str, Embedding | Sequence[Embedding]]]) -> np.ndarray:
        rows = np.zeros((len(named), self._dim), np.float32)
        for row, (name, members) in zip(rows, named, strict=True):
            ensemble = [members] if isinstance(members, Embedding) else list(members)
            for member in ensemble:
                self.space.require_same(member.space)
                if member.abstained:
                    raise InvalidInputError(
                        f"the cue for {name} abstained: too little evidence to search for it"
                    )
            if self._bridge is not None:
                ensemble = [self._bridge.map(member) for member in ensemble]
            mean = stack(ensemble).mean(0)
            length = np.linalg.norm(mean)
            if length < 1e-6:
                raise InvalidInputError(
                    f"the embeddings for {name} cancel out: nothing is left to search for"
                )
            row[:] = mean / length
        rows.flags.writeable = False
        return rows

    def clear(self) -> None:
        """Drop all classes: nothing is detected until the next `replace`."""
        self.replace((), ())

    def similarities(self, regions: np.ndarray, matrix: ClassMatrix | None = None) -> np.ndarray:
        """Cosine of every region (N, dim) with every class: float32 (N, C)."""
        return regions @ (matrix or self._matrix).rows.T

    def _by_region(self, regions: np.ndarray, similarities: np.ndarray) -> np.ndarray:
        if self._null_bank is None:
            return similarities
        null = regions @ self._null_bank.T
        return (similarities - null.mean(1, keepdims=True)) / np.maximum(null.std(1, keepdims=True), 1e-6)

    def deviations(
        self, regions: np.ndarray, similarities: np.ndarray, matrix: ClassMatrix | None = None
    ) -> np.ndarray:
        """How many standard deviations `similarities` of `regions` lie above unrelated ones: (N, C).

        Without null regions and bank the similarities themselves. Orders regions as the percentile does,
        without saturating.
        """
        mean, deviation = (matrix or self._matrix).null
        return (self._by_region(regions, similarities) - mean) / deviation

    def percentiles(
        self, regions: np.ndarray, similarities: np.ndarray, matrix: ClassMatrix | None = None
    ) -> np.ndarray:
        """Percentile scores, 0 to 1, float32 (N, C), of `similarities` of `regions` (N, dim), see the class."""
        if self._null_bank is None and self._null_regions is None:
            return (1.0 + similarities) / 2.0
        return ndtr(self.deviations(regions, similarities, matrix)).astype(np.float32)

    def probabilities(
        self, regions: np.ndarray, similarities: np.ndarray, matrix: ClassMatrix | None = None
    ) -> np.ndarray:
        """Softmax over classes and background rows at the temperature, the classes' part: float32 (N, C)."""
        background = regions @ (matrix or self._matrix).background.T
        logits = np.concatenate([similarities, background], axis=1) / self._temperature
        return softmax(logits, axis=1)[:, : similarities.shape[1]].astype(np.float32)

    def detect(
        self, regions: Regions, *, min_score: float = 0.0, max_detections: int = 10, nms_iou: float = 0.5
    ) -> Detections:
        """Name regions by their best class; drop scores under `min_score` and overlapping boxes of one class.

        Abstention is the empty result: no region reaches `min_score`.
        """
        matrix = self._matrix
        if not matrix.labels:
            return Detections.empty()
        regions = regions.for_classes(matrix.rows)
        if not len(regions):
            return Detections.empty()
        similarities = self.similarities(regions.embeddings, matrix)
        ranks, scores = self._assess(regions, similarities, matrix)
        pick = np.arange(len(regions))
        best = ranks.argmax(1)
        rank, score, similarity = ranks[pick, best], scores[pick, best], similarities[pick, best]
        good = score >= min_score
        if len(matrix.negatives):
            good &= similarity >= (regions.embeddings @ matrix.negatives.T).max(1)
        kept: list[int] = []
        for class_id in range(len(matrix.labels)):
            members = np.flatnonzero((best == class_id) & good)
            kept += members[non_maximum_suppression(regions.boxes[members], rank[members], nms_iou)].tolist()
        kept = sorted(kept, key=lambda i: -rank[i])[:max_detections]
        return Detections(
            boxes=regions.boxes[kept],
            scores=score[kept],
            labels=tuple(matrix.labels[best[i]] for i in kept),
            similarities=similarity[kept],
        )

    def _assess(
        self, regions: Regions, similarities: np.ndarray, matrix: ClassMatrix
    ) -> tuple[np.ndarray, np.ndarray]:
        """What orders the regions, and their scores: both (N, C)."""
        if self._score == "probability":
            probabilities = self.probabilities(regions.embeddings, similarities, matrix)
            return probabilities, probabilities
        if self._score == "sigmoid":
            if regions.logit_shift is None or regions.logit_scale is None:
                raise InvalidInputError("score 'sigmoid' needs a detector with a logit head, such as owlvit")
            logits = (similarities + regions.logit_shift[:, None]) * regions.logit_scale[:, None]
            return logits, expit(logits)
        favoured = similarities if regions.prior is None else similarities + regions.prior[:, None]
        return (
            self.deviations(regions.embeddings, favoured, matrix),
            self.percentiles(regions.embeddings, similarities, matrix),
        )


def _in_small_products(a: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """a @ rows.T, so that a swap stays quick while encoders keep all cores busy.

    BLAS spreads a large product over threads and then waits for the slowest one to be scheduled: tens of
    milliseconds on a loaded robot for what one thread does in one tenth of one.
    """
    step = max(1, SMALL_PRODUCT // max(1, rows.size))
    parts = [a[i : i + step] @ rows.T for i in range(0, len(a), step)]
    return np.concatenate(parts) if parts else np.zeros((0, len(rows)), np.float32)
