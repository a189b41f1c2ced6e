"""Similarity maps to boxes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from imagebind_node.detection.detections import box_iou
from imagebind_node.detection.similarity_boxes import box_weights, boxes_from_map, otsu_threshold, pool


def noisy_map(seed: int = 0) -> np.ndarray:
    return 0.1 + 0.02 * np.random.default_rng(seed).standard_normal((16, 16)).astype(np.float32)


def test_a_bright_area_becomes_its_box():
    values = noisy_map()
    values[3:9, 5:12] += 0.4
    boxes, weights = boxes_from_map(values)
    assert box_iou(boxes, np.array([[5, 3, 12, 9]])).max() > 0.85
    best = weights[box_iou(boxes, np.array([[5, 3, 12, 9]]))[:, 0].argmax()]
    assert best[4:8, 6:11].min() == 1.0
    assert best[11:].max() == 0.0


def test_two_areas_become_two_boxes():
    values = noisy_map()
    values[1:5, 1:5] += 0.4
    values[10:15, 9:15] += 0.3
    boxes, _ = boxes_from_map(values)
    for box in ([1, 1, 5, 5], [9, 10, 15, 15]):
        assert box_iou(boxes, np.array([box])).max() > 0.75


def test_things_that_touch_are_told_apart_at_a_higher_level():
    values = noisy_map()
    values[4:12, 1:15] += 0.15
    values[4:12, 1:6] += 0.35
    values[4:12, 10:15] += 0.35
    boxes, _ = boxes_from_map(values)
    for box in ([1, 4, 6, 12], [10, 4, 15, 12]):
        assert box_iou(boxes, np.array([box])).max() > 0.75


@pytest.mark.parametrize("shift", [-3.0, 0.0, 5.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_threshold_follows_level_and_contrast_of_the_map(shift, scale):
    values = noisy_map()
    values[3:9, 5:12] += 0.4
    np.testing.assert_allclose(boxes_from_map(values * scale + shift)[0], boxes_from_map(values)[0])


@pytest.mark.parametrize("fill", [0.0, 0.3])
def test_a_flat_map_has_no_boxes(fill):
    boxes, weights = boxes_from_map(np.full((16, 21), fill, np.float32))
    assert boxes.shape == (0, 4)
    assert weights.shape == (0, 16, 21)


def test_specks_are_dropped():
    values = np.zeros((16, 16), np.float32)
    values[8, 8] = 1.0
    assert len(boxes_from_map(values, min_patches=4.0)[0]) == 0
    assert len(boxes_from_map(values, min_patches=0.5)[0]) > 0


def test_otsu_equals_exhaustive_search():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 1, 40), rng.normal(5, 1, 25)])
    ordered = np.sort(values)

    def between(cut: float) -> float:
        low, high = values[values <= cut], values[values > cut]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(((a + b) / 2 for a, b in itertools.pairwise(ordered)), key=between)
    assert otsu_threshold(values) == pytest.approx(best)


def test_box_weights_are_covered_area():
    weights = box_weights(np.array([[0.5, 1.0, 2.0, 2.25]], np.float32), 3, 3)[0]
    np.testing.assert_allclose(weights, [[0, 0, 0], [0.5, 1, 0], [0.125, 0.25, 0]])
    assert weights.sum() == pytest.approx(1.5 * 1.25)


def test_pool_is_the_normalised_weighted_mean():
    rng = np.random.default_rng(4)
    embeddings, weights = rng.standard_normal((3, 4, 5)), rng.random((2, 3, 4)).astype(np.float32)
    pooled = pool(embeddings, weights)
    for row, weight in zip(pooled, weights, strict=True):
        expected = sum(weight[r, c] * embeddings[r, c] for r in range(3) for c in range(4))
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-6)
