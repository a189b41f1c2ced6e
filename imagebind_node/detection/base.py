"""What every detector offers, whatever finds its regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import numpy as np

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.detections import Detections, Regions
from imagebind_node.embedding import Embedding, Space
from imagebind_node.samples import ImageSample

MAP_CELL = 16  # pixels a side of a similarity map's cell, for detectors without a map of their own


class Boxes(Protocol):
    """Places in one picture that may hold a thing: boxes float32 (N, 4) pixels, objectness float32 (N,)."""

    @property
    def boxes(self) -> np.ndarray: ...

    @property
    def objectness(self) -> np.ndarray: ...


Proposer = Callable[[np.ndarray], Boxes]
"""uint8 RGB picture (H, W, 3) -> class-agnostic boxes."""


class Detector(ABC):
    """Finds parts of a picture and embeds them; its `ClassEmbeddings` name them.

    space: where the class embeddings live. Safe to call from one thread at a time; the class embeddings may
    be replaced from any thread meanwhile.

    The slow part, `regions`, does not depend on the classes: keep its result to search a frame again for
    others, `classes.detect(regions)`.
    """

    name: str
    space: Space
    null_regions: np.ndarray | None = None
    """Unit rows (M, dim) of regions of unrelated pictures, which make scores comparable; None: uncalibrated."""

    def new_classes(self) -> ClassEmbeddings:
        """An empty classifier for this detector, with the calibration that suits it."""
        return ClassEmbeddings(self.space, null_regions=self.null_regions)

    @abstractmethod
    def regions(self, sample: ImageSample) -> Regions:
        """Parts of the picture that may hold a thing, with unit embeddings; needs no classes."""

    def detect(
        self,
        sample: ImageSample,
        classes: ClassEmbeddings,
        *,
        min_score: float = 0.0,
        max_detections: int = 10,
        nms_iou: float = 0.5,
    ) -> Detections:
        """Boxes in pixels of the picture, best first; empty without classes or if none reaches `min_score`.

        Raises SpaceMismatchError if `classes` are of another space.
        """
        self.space.require_same(classes.space)
        # Nothing to look for: do not spend the vision pass.
        if not classes.matrix.labels:
            return Detections.empty()
        return classes.detect(
            self.regions(sample), min_score=min_score, max_detections=max_detections, nms_iou=nms_iou
        )

    def similarity_map(self, sample: ImageSample, query: Embedding) -> np.ndarray:
        """Cosine of the query with what is at each place: float32 (h, w), a coarse grid over the whole picture.

        Where nothing was found it is the least of all. Raises SpaceMismatchError for a query of another
        space.
        """
        self.space.require_same(query.space)
        classes = self.new_classes()
        classes.replace(["query"], [query])
        regions = self.regions(sample)
        height, width = sample.data.shape[:2]
        grid = np.full((-(-height // MAP_CELL), -(-width // MAP_CELL)), -np.inf, np.float32)
        for box, value in zip(regions.boxes, classes.similarities(regions.embeddings)[:, 0], strict=True):
            x0, y0 = np.floor(box[:2] / MAP_CELL).astype(int)
            x1, y1 = np.ceil(box[2:] / MAP_CELL).astype(int)
            np.maximum(grid[y0:y1, x0:x1], value, out=grid[y0:y1, x0:x1])
        found = np.isfinite(grid)
        grid[~found] = grid[found].min() if found.any() else -1.0
        return grid
