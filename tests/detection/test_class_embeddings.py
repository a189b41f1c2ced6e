"""The classifier: swap, calibration, negatives, background, abstention, refusal of other spaces."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from scipy.special import ndtr, softmax

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.detections import Regions
from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.samples import Modality

SPACE = Space("test", 16)


def unit(rng: np.random.Generator, count: int, dim: int = 16) -> np.ndarray:
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def embed(vector: np.ndarray, space: Space = SPACE, **more) -> Embedding:
    return Embedding(vector, Modality.AUDIO, space, **more)


def regions_of(embeddings: np.ndarray) -> Regions:
    x = np.arange(len(embeddings), dtype=np.float32) * 100
    boxes = np.stack([x, x * 0, x + 50, x * 0 + 50], 1)
    return Regions(boxes, embeddings, np.ones(len(embeddings), np.float32))


def test_each_region_takes_its_nearest_class():
    rng = np.random.default_rng(0)
    rows = unit(rng, 3)
    classes = ClassEmbeddings(SPACE, unit(rng, 200))
    classes.replace(["a", "b", "c"], [embed(r) for r in rows])
    found = classes.detect(regions_of(rows[[2, 0, 1]]))
    assert sorted(zip(found.boxes[:, 0], found.labels, strict=True)) == [(0, "c"), (100, "a"), (200, "b")]
    assert found.similarities == pytest.approx([1, 1, 1], abs=1e-6)
    assert (found.scores > 0.99).all()


def test_percentile_is_the_share_of_null_cues_that_fit_worse():
    """Empirical check of the definition: 2 000 fresh unrelated cues against the same regions."""
    rng = np.random.default_rng(1)
    regions = unit(rng, 50)
    classes = ClassEmbeddings(SPACE, unit(rng, 2000))
    fresh = unit(rng, 2000)
    labels = [str(i) for i in range(len(fresh))]
    classes.replace(labels, [embed(row) for row in fresh])
    scores = classes.percentiles(regions, regions @ fresh.T)
    for threshold in (0.5, 0.9, 0.99):
        assert (scores >= threshold).mean() == pytest.approx(1 - threshold, abs=0.01)


def test_percentile_is_standardised_by_region_not_by_raw_cosine():
    """Two regions of equal cosine: the one that resembles everything scores lower."""
    rng = np.random.default_rng(2)
    common, cue = np.eye(16, dtype=np.float32)[:2]
    bank = common + 0.5 * unit(rng, 300)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    hub, plain = np.zeros((2, 16), np.float32)
    hub[:2], plain[[1, 2]] = (0.8, 0.6), (0.6, 0.8)
    classes = ClassEmbeddings(SPACE, bank)
    classes.replace(["cue"], [embed(cue)])
    found = classes.detect(regions_of(np.stack([hub, plain])))
    assert found.similarities == pytest.approx([0.6, 0.6])
    assert found.boxes[0, 0] == 100
    assert found.scores[0] > found.scores[1]


def test_scores_match_a_literal_loop():
    rng = np.random.default_rng(3)
    regions, bank, cue = unit(rng, 4), unit(rng, 30), unit(rng, 1)
    classes = ClassEmbeddings(SPACE, bank)
    classes.replace(["cue"], [embed(cue[0])])
    scores = classes.percentiles(regions, regions @ cue.T)
    for i, region in enumerate(regions):
        null = [float(region @ row) for row in bank]
        mean = sum(null) / 30
        deviation = (sum((x - mean) ** 2 for x in null) / 30) ** 0.5
        assert scores[i, 0] == pytest.approx(ndtr((float(region @ cue[0]) - mean) / deviation), abs=1e-5)


def test_null_regions_make_queries_comparable():
    """Two cues, one of which resembles everything a little: raw cosines differ, percentiles are honest for both."""
    rng = np.random.default_rng(8)
    axis = np.eye(16, dtype=np.float32)

    def pictures(count: int) -> np.ndarray:
        rows = unit(rng, count) + 0.6 * axis[0]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    hub = axis[0] + axis[1]
    classes = ClassEmbeddings(SPACE, null_regions=pictures(2000))
    classes.replace(["hub", "plain"], [embed(hub), embed(axis[2])])
    fresh = pictures(5000)
    similarities = classes.similarities(fresh)
    assert similarities[:, 0].mean() > similarities[:, 1].mean() + 0.3
    scores = classes.percentiles(fresh, similarities)
    for threshold in (0.5, 0.9, 0.95):
        assert (scores >= threshold).mean(0) == pytest.approx([1 - threshold] * 2, abs=0.03)


def test_null_regions_score_as_a_literal_loop():
    rng = np.random.default_rng(9)
    null, bank, regions, cue = unit(rng, 40), unit(rng, 30), unit(rng, 3), unit(rng, 1)[0]
    classes = ClassEmbeddings(SPACE, bank, null_regions=null)
    classes.replace(["cue"], [embed(cue)])

    def by_region(region: np.ndarray) -> float:
        others = [float(region @ row) for row in bank]
        return (float(region @ cue) - np.mean(others)) / np.std(others)

    unrelated = [by_region(row) for row in null]
    expected = [ndtr((by_region(row) - np.mean(unrelated)) / np.std(unrelated)) for row in regions]
    scores = classes.percentiles(regions, regions @ cue[:, None])[:, 0]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_order_survives_saturated_scores():
    """Far above the bank a float32 percentile is 1.0 for all; the best region still comes first."""
    axis = np.eye(16, dtype=np.float32)
    bank = unit(np.random.default_rng(4), 100) * 0.01 + axis[5]
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    classes = ClassEmbeddings(SPACE, bank)
    classes.replace(["cue"], [embed(axis[0])])
    near = axis[0] + 0.3 * axis[1]
    found = classes.detect(regions_of(np.stack([near / np.linalg.norm(near), axis[0]])))
    assert found.scores.tolist() == [1.0, 1.0]
    assert found.boxes[0, 0] == 100


def test_probability_is_a_softmax_over_classes_and_background():
    rng = np.random.default_rng(5)
    rows, background, regions = unit(rng, 2), unit(rng, 3), unit(rng, 5)
    classes = ClassEmbeddings(SPACE, score="probability", temperature=0.07)
    classes.replace(["a", "b"], [embed(r) for r in rows], background=[embed(r) for r in background])
    expected = softmax(regions @ np.concatenate([rows, background]).T / 0.07, axis=1)[:, :2]
    found = classes.detect(regions_of(regions))
    by_place = expected.max(1)[(found.boxes[:, 0] / 100).astype(int)]
    assert found.scores == pytest.approx(by_place, abs=1e-5)
    assert (np.diff(found.scores) <= 0).all()


def test_a_region_nearer_to_a_negative_is_dropped():
    axis = np.eye(16, dtype=np.float32)
    classes = ClassEmbeddings(SPACE)
    wolf = (axis[0] + axis[1]) / np.sqrt(2)
    regions = regions_of(np.stack([axis[0], wolf]))
    classes.replace(["dog"], [embed(axis[0])])
    assert len(classes.detect(regions)) == 2
    classes.replace(["dog"], [embed(axis[0])], negatives=[embed(axis[1] * 0.9 + axis[0] * 0.5)])
    assert classes.detect(regions).boxes[:, 0].tolist() == [0]


def test_ensembles_are_averaged():
    rng = np.random.default_rng(6)
    rows = unit(rng, 3)
    classes = ClassEmbeddings(SPACE)
    classes.replace(["dog"], [[embed(r) for r in rows]])
    mean = rows.mean(0)
    np.testing.assert_allclose(classes.matrix.rows[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_the_default_threshold_suits_what_scores_mean():
    nulls = unit(np.random.default_rng(7), 100)
    assert ClassEmbeddings(SPACE, null_regions=nulls).default_min_score == 0.95
    assert ClassEmbeddings(SPACE).default_min_score == 0.5
    assert ClassEmbeddings(SPACE, nulls, score="probability").default_min_score == 0.5


def test_min_score_abstains_and_clear_finds_nothing():
    rng = np.random.default_rng(7)
    rows = unit(rng, 1)
    classes = ClassEmbeddings(SPACE, unit(rng, 100))
    classes.replace(["a"], [embed(rows[0])])
    assert len(classes.detect(regions_of(-rows), min_score=0.9)) == 0
    assert len(classes.detect(regions_of(rows), min_score=0.9)) == 1
    classes.clear()
    assert len(classes.detect(regions_of(rows))) == 0


@pytest.mark.parametrize(
    ("labels", "embeddings", "error", "says"),
    [
        (["a"], [], InvalidInputError, "1 labels for 0"),
        (["a", "a"], [embed(np.eye(16)[0])] * 2, InvalidInputError, "comes twice"),
        (["a"], [embed(np.eye(8)[0], Space("other", 8))], SpaceMismatchError, "other"),
        (["a"], [embed(np.eye(16)[0], Space("equally long", 16))], SpaceMismatchError, "equally long"),
        (["a"], [embed(np.zeros(0), abstained=True)], InvalidInputError, "abstained"),
        (["a"], [[embed(np.eye(16)[0]), embed(-np.eye(16)[0])]], InvalidInputError, "cancel out"),
        (["a"], [[]], InvalidInputError, "no embeddings"),
    ],
)
def test_bad_replacements_are_refused_and_change_nothing(labels, embeddings, error, says):
    classes = ClassEmbeddings(SPACE)
    classes.replace(["old"], [embed(np.eye(16)[3])])
    before = classes.matrix
    with pytest.raises(error, match=says):
        classes.replace(labels, embeddings)
    assert classes.matrix is before


@pytest.mark.parametrize(
    "settings",
    [
        {"score": "logit"},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"null_bank": np.zeros((5, 3), np.float32)},
        {"null_bank": np.zeros((1, 16), np.float32)},
        {"null_regions": np.zeros((1, 16), np.float32)},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InvalidInputError):
        ClassEmbeddings(SPACE, **settings)


def test_the_published_matrix_cannot_be_written_to():
    classes = ClassEmbeddings(SPACE)
    classes.replace(["a"], [embed(np.eye(16)[0])])
    with pytest.raises(ValueError, match="read-only"):
        classes.matrix.rows[0, 0] = 2


def test_swapping_under_fire_never_tears():
    """One thread swaps between two sets of different size; each frame must agree with one set throughout.

    Class `k` of set 0 is axis k, of set 1 it is axis 15 - k with another label, so that a mixture of labels
    of one set and rows of the other names regions wrongly.
    """
    axis = np.eye(16, dtype=np.float32)
    sets = [
        (["a0", "a1", "a2"], [embed(axis[k]) for k in range(3)]),
        (["b0", "b1", "b2", "b3", "b4"], [embed(axis[15 - k]) for k in range(5)]),
    ]
    regions = regions_of(axis)
    expected = [{"a0": 0, "a1": 1, "a2": 2}, {f"b{k}": 15 - k for k in range(5)}]
    classes = ClassEmbeddings(SPACE)
    classes.replace(*sets[0])
    stop, swaps = threading.Event(), 0

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            classes.replace(*sets[swaps % 2])
            swaps += 1

    threads = [threading.Thread(target=swap) for _ in range(1)]
    for thread in threads:
        thread.start()
    seen = set()
    try:
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            found = classes.detect(regions, min_score=0.9)
            result = {label: int(box[0] / 100) for label, box in zip(found.labels, found.boxes, strict=True)}
            assert result in expected
            seen.add(found.labels[0][0])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert swaps > 100
    assert seen == {"a", "b"}
