"""Where things may be, whatever they are: NanoDet-g at a low threshold, its classes only as extra evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from imagebind_node.detection.detections import non_maximum_suppression
from imagebind_node.encoders.concept.convolution import for_inference
from imagebind_node.encoders.concept.nanodet import CLASSES, MEAN_BGR, STD_BGR, NanoDet, decode
from imagebind_node.encoders.concept.weights import load_network

INPUT_SIDE = 416
CELL = 32
SMALLEST = 8.0
CANDIDATES = 300
# How much a box's size counts beside the network's belief in it, both as logarithms, and from which share of the
# picture on it counts no more: a box around a whole thing beats the boxes around its parts.
AREA_WEIGHT = 0.6
AREA_ENOUGH = 0.10
_LEAST = 1e-3


@dataclass(frozen=True)
class Proposals:
    """Places that may hold a thing, best first.

    boxes: float32 (N, 4) pixels inside the picture. classes: float32 (N, 80) COCO probabilities. quality: float32
    (N,), logarithmic, 0 at best: belief that there is one whole thing in the box.
    """

    boxes: np.ndarray
    classes: np.ndarray
    quality: np.ndarray

    @property
    def objectness(self) -> np.ndarray:
        """float32 (N,), 0 to 1: probability of the likeliest class."""
        return self.classes.max(1, initial=0.0)


def network_size(width: int, height: int, side: int = INPUT_SIDE) -> tuple[int, int]:
    """Network input width and height for a picture: longer side `side`, both multiples of 32, shape nearly kept."""
    scale = side / max(width, height)
    columns, rows = (max(CELL, round(length * scale / CELL) * CELL) for length in (width, height))
    return columns, rows


def fastest_precision() -> str:
    """bf16 where the CPU multiplies it itself, else fp32: emulated it would be slower."""
    has = torch.cpu.get_capabilities().get
    return "bf16" if any(has(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "fp32"


class ProposalNetwork:
    """uint8 RGB picture -> class-agnostic boxes.

    threshold: least probability of the likeliest class; iou: overlap at which the lesser of two boxes is dropped;
    limit: most boxes returned; dtype: what the network computes in.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threshold: float = 0.03,
        iou: float = 0.4,
        limit: int = 24,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        network = load_network(NanoDet, folder, "proposals.safetensors")
        # The size of 4:3 frames, the usual ones.
        columns, rows = network_size(640, 480)
        self._network = for_inference(network, dtype, (1, 3, rows, columns))
        self._dtype = dtype
        self._mean = torch.tensor(MEAN_BGR).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(STD_BGR).view(1, 3, 1, 1)
        self._threshold, self._iou, self._limit = threshold, iou, limit

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> Proposals:
        """Empty for pictures under 8 pixels a side: no thing can be told in them."""
        height, width = pixels.shape[:2]
        if min(height, width) < SMALLEST:
            return _chosen(np.zeros((0, 4), np.float32), np.zeros((0, CLASSES), np.float32), 1, 1.0, 0)
        columns, rows = network_size(width, height)
        small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_LINEAR)
        planes = torch.from_numpy(small[None, :, :, ::-1].copy()).permute(0, 3, 1, 2)
        planes = ((planes - self._mean) * self._scale).to(self._dtype, memory_format=torch.channels_last)
        boxes, classes = decode(self._network(planes))
        scores = classes.amax(1)
        best = scores.topk(min(CANDIDATES, len(scores))).indices
        best = best[scores[best] >= self._threshold]
        scale = np.array([width / columns, height / rows] * 2, np.float32)
        found = np.clip(boxes[best].numpy() * scale, 0, np.array([width, height] * 2, np.float32))
        wide = (found[:, 2:] - found[:, :2]).min(1, initial=np.inf) >= SMALLEST
        return _chosen(found[wide], classes[best].numpy()[wide], width * height, self._iou, self._limit)


def _chosen(boxes: np.ndarray, classes: np.ndarray, area: int, iou: float, limit: int) -> Proposals:
    share = (boxes[:, 2:] - boxes[:, :2]).prod(1) / area
    size = np.log(np.minimum(share, AREA_ENOUGH) + _LEAST) - np.log(AREA_ENOUGH + _LEAST)
    belief = np.log(classes.max(1, initial=0.0) + _LEAST) - np.log(1 + _LEAST)
    quality = (belief + AREA_WEIGHT * size).astype(np.float32)
    keep = non_maximum_suppression(boxes, quality, iou, limit)
    return Proposals(boxes[keep], classes[keep], quality[keep])
