"""From a map of similarities to boxes."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

FINER = 4  # the map is enlarged this many times, so that boxes do not snap to patches
LEVELS = (0.0, 0.35, 0.7)  # thresholds: this far from Otsu's up to the highest similarity
SHRUNK = 0.6
EIGHT = np.ones((3, 3), int)


def boxes_from_map(similarity: np.ndarray, min_patches: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Cut connected areas of high similarity out of a map (rows, columns).

    Otsu's threshold (1979) adapts to each map; higher levels tell things apart that touch at the lowest.
    Areas under `min_patches` are dropped. Returns boxes, float32 (N, 4), x0, y0, x1, y1 in patches, and
    weights, float32 (N, rows, columns): how much of each patch belongs to the area, 0 to 1. Overlapping boxes
    of different levels are left to non-maximum suppression. A flat map has no boxes.
    """
    rows, columns = similarity.shape
    low, high = float(similarity.min()), float(similarity.max())
    if not high - low > 1e-6:
        return np.zeros((0, 4), np.float32), np.zeros((0, rows, columns), np.float32)
    fine = cv2.resize(
        similarity.astype(np.float32), (columns * FINER, rows * FINER), interpolation=cv2.INTER_LINEAR
    )
    cut = otsu_threshold(similarity)
    masks: list[np.ndarray] = []
    # Areas of the level before, each with the size of the one given last that holds it.
    parents = [(np.ones(fine.shape, bool), float("inf"))]
    for level in LEVELS:
        areas, count = ndimage.label(fine > cut + level * (high - cut), EIGHT)
        sizes = np.bincount(areas.ravel(), minlength=count + 1)
        large = sizes >= min_patches * FINER**2
        children = []
        for parent, given in parents:
            parts = [number for number in np.unique(areas[parent]) if number and large[number]]
            for number in parts:
                mask = areas == number
                if len(parts) > 1 or sizes[number] < SHRUNK * given:
                    masks.append(mask)
                    children.append((mask, float(sizes[number])))
                else:
                    children.append((mask, given))
        parents = children
    boxes, weights = [], []
    for mask in masks:
        y, x = ndimage.find_objects(mask.astype(np.uint8))[0]
        boxes.append([x.start / FINER, y.start / FINER, x.stop / FINER, y.stop / FINER])
        weights.append(mask.reshape(rows, FINER, columns, FINER).mean((1, 3)))
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(weights, np.float32).reshape(-1, rows, columns),
    )


def box_weights(boxes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """How much of each patch lies in each box (N, 4), in patches: float32 (N, rows, columns), 0 to 1."""

    def covered(low: np.ndarray, high: np.ndarray, count: int) -> np.ndarray:
        edge = np.arange(count)
        return np.clip(np.minimum(high[:, None], edge + 1) - np.maximum(low[:, None], edge), 0, 1)

    across, down = covered(boxes[:, 0], boxes[:, 2], columns), covered(boxes[:, 1], boxes[:, 3], rows)
    return (down[:, :, None] * across[:, None, :]).astype(np.float32)


def pool(embeddings: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of patch embeddings (rows, columns, dim) for weights (N, rows, columns): (N, dim), unit."""
    pooled = np.tensordot(weights, embeddings, axes=([1, 2], [0, 1]))
    return (pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def otsu_threshold(values: np.ndarray) -> float:
    """The cut of `values` into two parts that maximises the variance between their means (Otsu 1979), exactly."""
    ordered = np.sort(values.ravel()).astype(np.float64)
    count = len(ordered)
    below = np.arange(1, count)
    sums = np.cumsum(ordered)[:-1]
    mean_below, mean_above = sums / below, (ordered.sum() - sums) / (count - below)
    between = below * (count - below) * (mean_above - mean_below) ** 2
    best = int(between.argmax())
    return float((ordered[best] + ordered[best + 1]) / 2)
