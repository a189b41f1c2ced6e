"""Boxes, and the plain geometry on them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imagebind_node.errors import InvalidInputError


@dataclass(frozen=True)
class Detections:
    """What a detector found in one picture.

    boxes: float32 (N, 4), pixels, x0, y0, x1, y1 with x1 > x0 and y1 > y0, inside the picture.
    scores: float32 (N,), 0 to 1, best first; see ClassEmbeddings for what a score means.
    labels: N class names. similarities: float32 (N,), cosine of region and class embedding, -1 to 1.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...] = field(default=())
    similarities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or len(self.labels) != count or self.similarities.shape != (count,):
            raise InvalidInputError(
                f"detections disagree: boxes {self.boxes.shape}, {count} scores, {len(self.labels)} labels, "
                f"{len(self.similarities)} similarities"
            )

    @classmethod
    def empty(cls) -> Detections:
        """Nothing found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Regions:
    """Parts of one picture that may hold a thing, embedded.

    boxes: float32 (N, 4) pixels, x0, y0, x1, y1. embeddings: float32 (N, dim), L2-normalised.
    objectness: float32 (N,), 0 to 1, the proposal network's belief that there is a thing at all.
    logit_shift, logit_scale: float32 (N,), for detectors whose own head turns a cosine into a logit,
    (cosine + shift) * scale (OWL-ViT, Minderer et al. 2022); else None.
    prior: float32 (N,), in units of the cosine: what a region has in its favour before any class is known; it
    decides the order of the detections beside the similarity, not their scores. None: nothing.
    """

    boxes: np.ndarray
    embeddings: np.ndarray
    objectness: np.ndarray
    logit_shift: np.ndarray | None = None
    logit_scale: np.ndarray | None = None
    prior: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def for_classes(self, rows: np.ndarray) -> Regions:
        """The regions to score for the class rows (C, dim).

        The same for all classes, unless boxes are cut out of a map of similarities (see detection/dense.py).
        """
        return self


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box in `a` (N, 4) with every box in `b` (M, 4): float32 (N, M)."""
    a, b = np.asarray(a, np.float32).reshape(-1, 4), np.asarray(b, np.float32).reshape(-1, 4)
    corner0 = np.maximum(a[:, None, :2], b[None, :, :2])
    corner1 = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(corner1 - corner0, 0, None).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return overlap / np.maximum(area_a[:, None] + area_b[None] - overlap, 1e-9)


def non_maximum_suppression(
    boxes: np.ndarray, scores: np.ndarray, iou: float, limit: int | None = None
) -> np.ndarray:
    """Indices of the boxes to keep, best score first: greedy, drops boxes that overlap a kept one by `iou` or more.

    limit: most boxes to keep; those that would come after are not looked at.
    """
    waiting = np.argsort(-scores, kind="stable")
    keep: list[int] = []
    while len(waiting) and (limit is None or len(keep) < limit):
        best, waiting = waiting[0], waiting[1:]
        keep.append(int(best))
        waiting = waiting[box_iou(boxes[best], boxes[waiting])[0] < iou]
    return np.array(keep, np.intp)
