"""The detector of the embedded default: NanoDet's boxes, each embedded by the image tower of `concept`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from imagebind_node.detection.base import Detector
from imagebind_node.detection.detections import Regions
from imagebind_node.detection.proposals import ProposalNetwork
from imagebind_node.detection.registry import register_detector
from imagebind_node.encoders.base import Encoder
from imagebind_node.encoders.concept.model import ConceptEncoder
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImageSample, Modality

CROP_SIDE = 224
CONTEXT = 1.1


class ConceptDetector(Detector):
    """Proposals, each cropped square with a little context and embedded as a picture of its own."""

    name = "concept"

    def __init__(self, encoder: ConceptEncoder, folder: Path | None = None, **options: Any) -> None:
        encoder.require(Modality.VISION)
        self.space = encoder.space
        self._encoder = encoder
        self._proposals = ProposalNetwork(folder or model_dir("concept"), **options)

    @torch.inference_mode()
    def regions(self, sample: ImageSample) -> Regions:
        proposals = self._proposals(sample.data)
        if not len(proposals.boxes):
            return Regions(proposals.boxes, np.zeros((0, self.space.dim), np.float32), proposals.objectness)
        crops = np.stack([crop(sample.data, box) for box in proposals.boxes])
        logits = self._encoder.image_logits(torch.from_numpy(crops))
        embeddings = self._encoder.embed_image_classes(logits).numpy()
        return Regions(proposals.boxes, embeddings, proposals.objectness)


def crop(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Square around a box with context, black beyond the picture: uint8 (224, 224, 3)."""
    centre = (box[:2] + box[2:]) / 2
    scale = CROP_SIDE / (max(box[2] - box[0], box[3] - box[1]) * CONTEXT)
    shift = CROP_SIDE / 2 - centre * scale
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    return cv2.warpAffine(pixels, matrix, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR)


@register_detector("concept")
def load(encoder: Encoder | None, **options: Any) -> ConceptDetector:
    """Build on a `concept` encoder with its vision tower."""
    if not isinstance(encoder, ConceptEncoder):
        raise InvalidInputError("detector 'concept' needs the encoder 'concept': use --model concept")
    return ConceptDetector(encoder, **options)
