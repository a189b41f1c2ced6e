"""The crop detector on real encoders: exactness, budget, carry-over."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.detection.crops import CropDetector, crop
from imagebind_node.detection.detections import Regions
from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError, UnsupportedModalityError
from imagebind_node.samples import ImageSample, Modality
from tests.detection.small_imagebind import small_encoder

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


def grid_boxes(count: int, shift: float = 0.0) -> np.ndarray:
    """`count` boxes of 60 pixels, 80 apart."""
    x, y = (np.arange(count) % 7) * 80 + 20 + shift, (np.arange(count) // 7) * 80 + 20
    return np.stack([x, y, x + 60, y + 60], 1).astype(np.float32)


class Proposals:
    """A proposal function whose answer the test sets."""

    def __init__(self, boxes: np.ndarray) -> None:
        self.boxes = boxes

    def __call__(self, pixels: np.ndarray) -> Regions:
        count = len(self.boxes)
        objectness = np.linspace(0.9, 0.1, count).astype(np.float32)
        return Regions(self.boxes, np.zeros((count, 32), np.float32), objectness)


class StepClock:
    """Time that passes by a fixed step at every look: makes the budget exact."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def picture(stamp: float = 1.0, seed: int = 0) -> ImageSample:
    pixels = np.random.default_rng(seed).integers(0, 255, (480, 640, 3), np.uint8)
    return ImageSample(pixels, stamp=int(stamp * SECOND))


def test_region_embeddings_are_the_encoders_own(encoder):
    sample, boxes = picture(), grid_boxes(6)
    detector = CropDetector(encoder, Proposals(boxes), budget=60.0)
    regions = detector.regions(sample)
    pieces = [ImageSample(crop(sample.data, box, 1.1)) for box in boxes]
    expected = np.stack([e.vector for e in encoder.encode(Modality.VISION, pieces)])
    np.testing.assert_array_equal(regions.boxes, boxes)
    np.testing.assert_allclose(regions.embeddings, expected, atol=1e-5)


def test_a_class_taken_from_a_crop_finds_its_box(encoder):
    sample, boxes = picture(), grid_boxes(9)
    detector = CropDetector(encoder, Proposals(boxes), budget=60.0)
    target = ImageSample(crop(sample.data, boxes[5], 1.1))
    classes = detector.new_classes()
    classes.replace(["it"], encoder.encode(Modality.VISION, [target]))
    np.testing.assert_array_equal(detector.detect(sample, classes).boxes[0], boxes[5])


def test_the_best_come_first_and_the_rest_in_the_next_frames(encoder):
    """The clock steps 10 ms a look: a budget of 25 ms holds one batch of 4."""
    detector = CropDetector(
        encoder, Proposals(grid_boxes(14)), budget=0.025, batch=4, max_age=10.0, clock=StepClock(0.01)
    )
    counts, waiting = [], []
    for frame in range(4):
        regions = detector.regions(picture(1.0 + frame * 0.1))
        counts.append(len(regions))
        waiting.append(detector.waiting)
    assert counts == [4, 8, 12, 14]
    assert waiting == [10, 6, 2, 0]
    assert (np.diff(regions.objectness) <= 0).all()


def test_the_first_batch_is_the_best_proposals(encoder):
    boxes = grid_boxes(14)
    detector = CropDetector(encoder, Proposals(boxes), budget=0.0, batch=4)
    np.testing.assert_array_equal(detector.regions(picture()).boxes, boxes[:4])


def test_a_generous_budget_does_all_at_once(encoder):
    detector = CropDetector(encoder, Proposals(grid_boxes(14)), budget=60.0)
    assert len(detector.regions(picture())) == 14
    assert detector.waiting == 0


def test_those_who_wait_come_before_better_newcomers(encoder):
    proposals = Proposals(grid_boxes(6))
    detector = CropDetector(encoder, proposals, budget=0.0, batch=2, max_age=10.0)
    detector.regions(picture(1.0))
    newcomers = np.array([[20, 300, 80, 360], [120, 300, 180, 360]], np.float32)
    proposals.boxes = np.concatenate([newcomers, grid_boxes(6)])
    done = detector.regions(picture(1.1)).boxes
    np.testing.assert_array_equal(done, grid_boxes(6)[:4])


def test_moved_things_keep_their_embedding_and_get_the_new_box(encoder):
    proposals = Proposals(grid_boxes(4))
    detector = CropDetector(encoder, proposals, budget=0.0, batch=4, max_age=10.0)
    first = detector.regions(picture(1.0))
    proposals.boxes = np.concatenate([grid_boxes(4, shift=5.0), [[20, 300, 80, 360]]]).astype(np.float32)
    second = detector.regions(picture(1.1, seed=9))
    np.testing.assert_array_equal(second.boxes[:4], grid_boxes(4, shift=5.0))
    # One of the batch went to the newcomer, so that the least of the old ones kept what it had.
    np.testing.assert_array_equal(second.embeddings[3], first.embeddings[3])
    assert len(second) == 5


def test_old_embeddings_are_renewed_and_too_old_ones_dropped(encoder):
    proposals = Proposals(grid_boxes(4))
    detector = CropDetector(encoder, proposals, budget=0.0, batch=2, max_age=1.0)
    detector.regions(picture(1.0))
    before = detector.regions(picture(1.1))
    assert len(before) == 4
    renewed = detector.regions(picture(1.2, seed=5))
    changed = np.abs(renewed.embeddings - before.embeddings).max(1) > 1e-4
    assert changed.tolist() == [True, True, False, False]
    assert len(detector.regions(picture(60.0))) == 2


def test_a_clock_set_back_and_unstamped_pictures_carry_nothing_over(encoder):
    detector = CropDetector(encoder, Proposals(grid_boxes(4)), budget=0.0, batch=2, max_age=100.0)
    detector.regions(picture(50.0))
    assert len(detector.regions(picture(1.0))) == 2
    for _ in range(3):
        assert len(detector.regions(picture(0.0))) == 2


def test_no_proposals_tiny_ones_and_ones_beyond_the_rim(encoder):
    proposals = Proposals(np.zeros((0, 4), np.float32))
    detector = CropDetector(encoder, proposals, budget=60.0)
    assert len(detector.regions(picture(1.0))) == 0
    proposals.boxes = np.array([[10, 10, 12, 40], [-50, -50, 100, 100], [600, 400, 900, 900]], np.float32)
    boxes = detector.regions(picture(1.1)).boxes
    assert boxes.tolist() == [[0, 0, 100, 100], [600, 400, 640, 480]]


def test_crops_are_square_centred_and_padded():
    pixels = np.arange(100 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 100, 3)
    middle = crop(pixels, np.array([40, 40, 60, 50]), 1.0)
    np.testing.assert_array_equal(middle, pixels[35:55, 40:60])
    corner = crop(pixels, np.array([0, 0, 20, 20]), 2.0)
    assert corner.shape == (40, 40, 3)
    np.testing.assert_array_equal(corner[10:, 10:], pixels[:30, :30])
    np.testing.assert_array_equal(corner[:10, 10:], np.repeat(pixels[:1, :30], 10, 0))


def test_real_proposals_with_the_embedded_network(encoder):
    """End to end without stand-ins: the shipped proposal network and the small ImageBind."""
    detector = load_detector("crops", encoder, budget=60.0)
    yard = np.full((240, 320, 3), 200, np.uint8)
    yard[60:200, 90:150] = (120, 60, 30)
    yard[100:180, 200:290] = (20, 20, 160)
    regions = detector.regions(ImageSample(yard, stamp=1))
    classes = detector.new_classes()
    classes.replace(["x"], [Embedding(np.eye(32)[0], Modality.VISION, detector.space)])
    assert len(regions.boxes) == len(regions.embeddings) == len(regions.objectness)
    assert len(classes.detect(regions)) <= len(regions)


def test_bad_settings_and_missing_towers_are_refused(encoder):
    with pytest.raises(InvalidInputError, match="budget"):
        CropDetector(encoder, Proposals(grid_boxes(1)), budget=-1.0)
    with pytest.raises(UnsupportedModalityError):
        CropDetector(small_encoder("text"), Proposals(grid_boxes(1)))
    with pytest.raises(InvalidInputError, match="vision tower"):
        load_detector("crops", None)
