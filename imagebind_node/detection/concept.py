"""The detector of the embedded default: NanoDet's boxes, each embedded by the image tower of `concept`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from imagebind_node.detection.base import Detector
from imagebind_node.detection.detections import Regions
from imagebind_node.detection.proposals import ProposalNetwork, Proposals, fastest_precision
from imagebind_node.detection.registry import register_detector
from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.encoders.concept.model import PRECISIONS, ConceptEncoder
from imagebind_node.encoders.concept.picture import resized
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImageSample, Modality

# Tuned on the development half of the benchmark, see docs/concept.md.
CROP_SIDE = 192
CONTEXT = 1.1
LIMIT = 6
# Of the image tower's belief in its classes, beside that for a whole picture: of a part that is cut out and squeezed
# it is too sure.
PART_TEMPERATURE = 1.5
COCO_WEIGHT = 0.5
COCO_CLASSES = 5
QUALITY_WEIGHT = 0.1
MOST_AT_ONCE = 8
MAP_SIDE = 448
_GREY = (127, 127, 127)


class ConceptDetector(Detector):
    """The best proposals, each cut out with a little context, squeezed square and embedded as a picture.

    precision: fp32, bf16, or auto: what is fastest on this CPU, see `fastest_precision`. limit: most regions a
    picture; time grows with it.
    """

    name = "concept"

    def __init__(
        self,
        encoder: ConceptEncoder,
        folder: Path | None = None,
        *,
        limit: int = LIMIT,
        threshold: float = 0.03,
        precision: str = "auto",
    ) -> None:
        encoder.require(Modality.VISION)
        if precision not in ("auto", *PRECISIONS):
            raise InvalidInputError(f"unknown precision {precision!r}: use auto, {', '.join(PRECISIONS)}")
        dtype = PRECISIONS[fastest_precision() if precision == "auto" else precision]
        if limit < 1:
            raise InvalidInputError(f"limit must be at least 1, got {limit}")
        self.space = encoder.space
        self._encoder = encoder
        self._network = encoder.image_tower(dtype, min(limit, MOST_AT_ONCE), CROP_SIDE)
        self._proposals = ProposalNetwork(
            folder or model_dir("concept"), limit=limit, threshold=threshold, dtype=dtype
        )

    @torch.inference_mode()
    def regions(self, sample: ImageSample) -> Regions:
        proposals = self._proposals(sample.data)
        embeddings = np.zeros((0, self.space.dim), np.float32)
        if len(proposals.boxes):
            embeddings = self._embed(sample.data, proposals)
        return Regions(
            proposals.boxes,
            embeddings,
            proposals.objectness,
            prior=QUALITY_WEIGHT * proposals.quality,
        )

    def _embed(self, pixels: np.ndarray, proposals: Proposals) -> np.ndarray:
        crops = torch.from_numpy(np.stack([crop(pixels, box) for box in proposals.boxes]))
        logits = torch.cat([self._network.logits(part) for part in crops.split(self._network.batch)])
        seen = self._encoder.embed_image_classes(logits / PART_TEMPERATURE)
        named = self._encoder.embed_coco_classes(torch.from_numpy(proposals.classes), COCO_CLASSES)
        # The proposal network has its own opinion of what it found, in proportion to how sure it is.
        return torch.nn.functional.normalize(seen + COCO_WEIGHT * named, dim=-1).numpy()

    @torch.inference_mode()
    def similarity_map(self, sample: ImageSample, query: Embedding) -> np.ndarray:
        """Cosine of the query with every 32x32 cell of the picture, enlarged to 448: float32 (h, w).

        Raises SpaceMismatchError for a query of another space.
        """
        self.space.require_same(query.space)
        height, width = sample.data.shape[:2]
        scale = MAP_SIDE / max(height, width)
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        pixels = cv2.resize(
            sample.data, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        logits = self._encoder.cell_logits(torch.from_numpy(pixels[None]))
        cells = self._encoder.embed_image_classes(logits / PART_TEMPERATURE)
        return (cells[0] @ torch.from_numpy(query.vector.copy())).numpy()


def crop(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box with context, squeezed square, grey beyond the picture: uint8 (192, 192, 3)."""
    centre = (box[:2] + box[2:]) / 2
    size = np.maximum((box[2:] - box[:2]) * CONTEXT, 1.0)
    first, last = np.floor(centre - size / 2).astype(int), np.ceil(centre + size / 2).astype(int)
    height, width = pixels.shape[:2]
    inside = pixels[max(first[1], 0) : min(last[1], height), max(first[0], 0) : min(last[0], width)]
    before, after = np.maximum(-first, 0), np.maximum(last - (width, height), 0)
    if before.any() or after.any():
        inside = cv2.copyMakeBorder(
            inside, before[1], after[1], before[0], after[0], cv2.BORDER_CONSTANT, value=_GREY
        )
    return resized(inside, CROP_SIDE, CROP_SIDE)


@register_detector("concept")
def load(
    encoder: Encoder | None, *, limit: int = LIMIT, threshold: float = 0.03, precision: str = "auto"
) -> ConceptDetector:
    """Build on a `concept` encoder with its vision tower."""
    if not isinstance(encoder, ConceptEncoder):
        raise InvalidInputError("detector 'concept' needs the encoder 'concept': use --model concept")
    return ConceptDetector(encoder, limit=limit, threshold=threshold, precision=precision)
