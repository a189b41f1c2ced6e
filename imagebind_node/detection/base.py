"""What every detector offers, whatever finds its regions."""

from __future__ import annotations

from abc import ABC, abstractmethod

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.detections import Detections, Regions
from imagebind_node.embedding import Space
from imagebind_node.samples import ImageSample


class Detector(ABC):
    """Finds parts of a picture and embeds them; a `ClassEmbeddings` of the same space names them.

    space: where region embeddings, and so the class embeddings, live. Safe to call from one thread at a time;
    the class embeddings may be replaced from any thread meanwhile.
    """

    name: str
    space: Space

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
        if not classes.matrix.labels:
            return Detections.empty()
        return classes.detect(
            self.regions(sample), min_score=min_score, max_detections=max_detections, nms_iou=nms_iou
        )
