from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.detection.detections import box_iou, non_maximum_suppression


def boxes_and_scores(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (count, 2))], 1).astype(np.float32)
    # Rounded, so that scores tie.
    return boxes, rng.random(count).round(1).astype(np.float32)


def literally(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    """Greedy suppression, one pair at a time; of equal scores the first comes first."""
    keep: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(box_iou(boxes[i], boxes[j])[0, 0] < iou for j in keep):
            keep.append(i)
    return keep


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7, 1.0])
def test_suppression_is_the_literal_one(iou):
    for seed in range(5):
        boxes, scores = boxes_and_scores(60, seed)
        expected = literally(boxes, scores, iou)
        assert non_maximum_suppression(boxes, scores, iou).tolist() == expected
        for limit in (0, 1, 6, 100):
            assert non_maximum_suppression(boxes, scores, iou, limit).tolist() == expected[:limit]


def test_suppression_of_nothing():
    kept = non_maximum_suppression(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5)
    assert kept.shape == (0,) and np.zeros((0, 4))[kept].shape == (0, 4)
