"""Where things may be, whatever they are: NanoDet-g at a low threshold, its classes only as extra evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from imagebind_node.detection.detections import non_maximum_suppression
from imagebind_node.encoders.concept.nanodet import MEAN_BGR, STD_BGR, NanoDet, decode
from imagebind_node.encoders.concept.weights import load_network
from imagebind_node.errors import InvalidInputError

INPUT_SIDE = 416
CELL = 32
SMALLEST = 8.0


@dataclass(frozen=True)
class Proposals:
    """boxes: float32 (N, 4) pixels inside the picture, best first; classes: float32 (N, 80) COCO probabilities."""

    boxes: np.ndarray
    classes: np.ndarray

    @property
    def objectness(self) -> np.ndarray:
        """float32 (N,): probability of the likeliest class."""
        return self.classes.max(1) if len(self.classes) else np.zeros(0, np.float32)


def network_size(width: int, height: int, side: int = INPUT_SIDE) -> tuple[int, int]:
    """Network input width and height for a picture: longer side `side`, both multiples of 32, shape nearly kept."""
    scale = side / max(width, height)
    return tuple(max(CELL, round(length * scale / CELL) * CELL) for length in (width, height))


class ProposalNetwork:
    """uint8 RGB picture -> class-agnostic boxes."""

    def __init__(self, folder: Path, *, threshold: float = 0.05, iou: float = 0.6, limit: int = 24) -> None:
        network = load_network(NanoDet(), folder, "proposals.safetensors")
        self._network = network.to(memory_format=torch.channels_last)
        self._mean = torch.tensor(MEAN_BGR).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(STD_BGR).view(1, 3, 1, 1)
        self._threshold, self._iou, self._limit = threshold, iou, limit

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> Proposals:
        """Raises InvalidInputError for pictures smaller than 8 pixels a side."""
        height, width = pixels.shape[:2]
        if min(height, width) < SMALLEST:
            raise InvalidInputError(f"picture of {width}x{height} pixels is too small to search in")
        columns, rows = network_size(width, height)
        small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR)
        planes = torch.from_numpy(small[None, :, :, ::-1].copy()).permute(0, 3, 1, 2).float()
        boxes, classes = decode(self._network((planes - self._mean) * self._scale))
        scores = classes.amax(1)
        best = scores.topk(min(300, len(scores))).indices
        best = best[scores[best] >= self._threshold]
        scale = np.array([width / columns, height / rows] * 2, np.float32)
        limits = np.array([width, height] * 2, np.float32)
        found = np.clip(boxes[best].numpy() * scale, 0, limits)
        likelihood = classes[best].numpy()
        wide = (found[:, 2:] - found[:, :2]).min(1) >= SMALLEST
        found, likelihood = found[wide], likelihood[wide]
        keep = non_maximum_suppression(found, likelihood.max(1, initial=0), self._iou)[: self._limit]
        return Proposals(found[keep], likelihood[keep])
