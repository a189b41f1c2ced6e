"""Crop detector: proposals cut out and embedded as pictures of their own, under a time budget a frame.

Region embeddings are exactly those of the encoder's picture tower, at the price of one tower pass a crop.
What does not fit into the budget of one frame is done in the next ones; embeddings of things that stay where
they are carried over until they are too old.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from imagebind_node.detection.base import Detector, Proposer
from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.detections import Regions, box_iou
from imagebind_node.detection.registry import register_detector
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImageSample, Modality

SAME_IOU = 0.7  # a proposal that overlaps a remembered one by this much shows the same thing
SMALLEST = 8.0  # pixels a side under which a crop shows nothing
SMOOTHING = 0.3  # weight of the newest measurement of the time that a crop takes


@dataclass(frozen=True)
class _Known:
    """A thing that was proposed. embedding: None while it waits. waiting: frames it has been waiting."""

    box: np.ndarray
    objectness: float
    embedding: np.ndarray | None = None
    stamp: int = 0
    waiting: int = 0


class CropDetector(Detector):
    """Works with any encoder that has a vision tower.

    budget: seconds a frame for embedding crops; one
    batch is always done, so that no budget is too small to get on. batch: crops a tower pass. context: side
    of the crop in sides of its box. max_age: seconds for which an embedding of a thing that stays is used
    again. clock: seconds, for measuring the budget.
    """

    name = "crops"

    def __init__(
        self,
        encoder: Encoder,
        proposals: Proposer,
        *,
        budget: float = 0.2,
        batch: int = 4,
        context: float = 1.1,
        max_age: float = 1.0,
        limit: int = 24,
        null_bank: np.ndarray | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not budget >= 0 or batch < 1 or not context >= 1 or not max_age >= 0 or limit < 1:
            raise InvalidInputError(
                "crops need budget >= 0 s, batch >= 1, context >= 1, max_age >= 0 s and limit >= 1"
            )
        encoder.require(Modality.VISION)
        self.space = encoder.space
        self._encoder, self._proposals = encoder, proposals
        self._budget, self._batch, self._context = budget, batch, context
        self._max_age, self._limit, self._null_bank, self._clock = max_age, limit, null_bank, clock
        self._known: list[_Known] = []
        self._last_stamp = 0
        self._per_crop = 0.0

    def new_classes(self) -> ClassEmbeddings:
        return ClassEmbeddings(self.space, self._null_bank, null_regions=self.null_regions)

    def regions(self, sample: ImageSample) -> Regions:
        """Proposals of this frame that have an embedding, fresh or carried over, best objectness first."""
        if sample.stamp < self._last_stamp or sample.stamp == 0:
            self._known = []  # the clock was set back, or nobody knows how old things are
        self._last_stamp = sample.stamp
        things = self._remember(sample)
        start = self._clock()
        queue = self._order(things, sample)
        while queue:
            chosen, queue = queue[: self._batch], queue[self._batch :]
            began = self._clock()
            vectors = self._embed(sample, [things[i].box for i in chosen])
            took = (self._clock() - began) / len(chosen)
            self._per_crop += (SMOOTHING if self._per_crop else 1.0) * (took - self._per_crop)
            for index, vector in zip(chosen, vectors, strict=True):
                things[index] = replace(things[index], embedding=vector, stamp=sample.stamp, waiting=0)
            ahead = self._per_crop * min(self._batch, len(queue))
            if self._clock() - start + ahead > self._budget:
                break
        self._known = [t if t.embedding is not None else replace(t, waiting=t.waiting + 1) for t in things]
        done = [thing for thing in things if thing.embedding is not None]
        dim = self.space.dim
        return Regions(
            np.array([t.box for t in done], np.float32).reshape(-1, 4),
            np.array([t.embedding for t in done], np.float32).reshape(-1, dim),
            np.array([t.objectness for t in done], np.float32),
        )

    @property
    def waiting(self) -> int:
        """Things of the newest frame that have no embedding yet."""
        return sum(thing.embedding is None for thing in self._known)

    def _remember(self, sample: ImageSample) -> list[_Known]:
        """This frame's proposals, each with what is known of the thing there."""
        found = self._proposals(sample.data)
        height, width = sample.data.shape[:2]
        boxes = np.clip(np.asarray(found.boxes, np.float32).reshape(-1, 4), 0, (width, height, width, height))
        large = ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST).all(1)
        boxes, objectness = boxes[large], np.asarray(found.objectness, np.float32)[large]
        order = np.argsort(-objectness, kind="stable")[: self._limit]
        boxes, objectness = boxes[order], objectness[order]
        things = [_Known(box, float(o)) for box, o in zip(boxes, objectness, strict=True)]
        if not things or not self._known:
            return things
        overlap = box_iou(boxes, np.stack([known.box for known in self._known]))
        while overlap.max() >= SAME_IOU:
            i, k = np.unravel_index(overlap.argmax(), overlap.shape)
            overlap[i], overlap[:, k] = -1, -1
            known = self._known[k]
            fresh = known.embedding is not None and sample.stamp - known.stamp <= self._max_age * 1e9
            things[i] = replace(
                things[i],
                embedding=known.embedding if fresh else None,
                stamp=known.stamp if fresh else 0,
                waiting=known.waiting,
            )
        return things

    def _order(self, things: list[_Known], sample: ImageSample) -> list[int]:
        """Whose turn it is: those that wait longest, then the best; then the oldest embeddings again."""
        new = [i for i, t in enumerate(things) if t.embedding is None]
        old = [i for i, t in enumerate(things) if t.embedding is not None and t.stamp < sample.stamp]
        new.sort(key=lambda i: (-things[i].waiting, -things[i].objectness))
        old.sort(key=lambda i: (things[i].stamp, -things[i].objectness))
        return new + old

    def _embed(self, sample: ImageSample, boxes: list[np.ndarray]) -> np.ndarray:
        crops = [ImageSample(crop(sample.data, box, self._context)) for box in boxes]
        inputs = torch.stack([self._encoder.preprocess(Modality.VISION, c) for c in crops])
        with torch.inference_mode():
            return self._encoder.forward(Modality.VISION, inputs).cpu().numpy()


def crop(pixels: np.ndarray, box: np.ndarray, context: float) -> np.ndarray:
    """Square around a box, `context` times its longer side; rim pixels are repeated beyond the picture."""
    centre = (box[:2] + box[2:]) / 2
    side = max(1, round(float((box[2:] - box[:2]).max()) * context))
    x0, y0 = np.round(centre - side / 2).astype(int)
    height, width = pixels.shape[:2]
    inner = pixels[max(0, y0) : min(height, y0 + side), max(0, x0) : min(width, x0 + side)]
    return cv2.copyMakeBorder(
        inner,
        max(0, -y0),
        max(0, y0 + side - height),
        max(0, -x0),
        max(0, x0 + side - width),
        cv2.BORDER_REPLICATE,
    )


@register_detector("crops")
def load(
    encoder: Encoder | None,
    *,
    proposals: Proposer | None = None,
    budget: float = 0.2,
    batch: int = 4,
    context: float = 1.1,
    max_age: float = 1.0,
    limit: int = 24,
    null_bank: np.ndarray | None = None,
) -> CropDetector:
    """Build on any encoder with a vision tower; without `proposals`, on the embedded proposal network."""
    if encoder is None:
        raise InvalidInputError("detector 'crops' needs an encoder with a vision tower")
    if proposals is None:
        from imagebind_node.detection.proposals import ProposalNetwork
        from imagebind_node.encoders.concept.weights import model_dir

        proposals = ProposalNetwork(model_dir("concept"), limit=limit)
    return CropDetector(
        encoder,
        proposals,
        budget=budget,
        batch=batch,
        context=context,
        max_age=max_age,
        limit=limit,
        null_bank=null_bank,
    )
