"""The dense detector on the small golden ImageBind: geometry of its views, boxes, refinement, swap.

The network's weights are random, so it knows no things; but its patches differ by what they show. A patch of
the searched thing, taken from the picture itself, is therefore a class that the detector must find.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagebind_node.detection.dense_views import make_view
from imagebind_node.detection.detections import Regions, box_iou
from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError, UnsupportedModalityError
from imagebind_node.samples import ImageSample, Modality
from tests.detection.small_imagebind import small_encoder

THING = np.array([300, 150, 420, 330], np.float32)


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


def picture(width: int = 640, height: int = 480, thing: np.ndarray = THING) -> ImageSample:
    """Grey noise with a block of red stripes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 120, (height, width, 3), np.uint8)
    x0, y0, x1, y1 = thing.astype(int)
    pixels[y0:y1, x0:x1] = (250, 20, 20)
    pixels[y0:y1:8, x0:x1] = (20, 20, 250)
    return ImageSample(pixels, stamp=7, frame_id="camera")


def of_the_thing(detector, sample, box=THING) -> Embedding:
    """The mean of the patches inside the box, as a class."""
    regions = detector.regions(sample)
    centre = (regions.boxes[:, :2] + regions.boxes[:, 2:]) / 2
    inside = ((centre > box[:2]) & (centre < box[2:])).all(1)
    assert inside.sum() >= 4
    return Embedding(regions.embeddings[inside].mean(0), Modality.VISION, detector.space)


@pytest.mark.parametrize(
    "options",
    [
        {"view": "full"},
        {"view": "full", "method": "maskclip"},
        {"view": "full", "method": "naclip"},
        {"view": "full", "side": 448},
        {"view": "windows", "side": 448},
        {"view": "centre"},
    ],
)
def test_the_box_is_where_the_thing_is(encoder, options):
    detector = load_detector("dense", encoder, **options)
    sample = picture()
    classes = detector.new_classes()
    classes.replace(["thing"], [of_the_thing(detector, sample)])
    found = detector.detect(sample, classes)
    assert found.labels[0] == "thing"
    assert box_iou(found.boxes[:1], THING[None])[0, 0] > 0.6


def test_the_embedding_of_the_pass_is_the_encoders_own(encoder):
    sample = picture()
    detector = load_detector("dense", encoder, view="centre")
    (expected,) = encoder.encode(Modality.VISION, [sample])
    ours = detector.embed(sample)
    assert np.array_equal(ours.vector, expected.vector)
    assert (ours.space, ours.stamp, ours.frame_id) == (expected.space, expected.stamp, expected.frame_id)


def test_patches_of_every_view_tile_the_picture(encoder):
    for options in ({"view": "full"}, {"view": "windows", "side": 448}):
        boxes = load_detector("dense", encoder, **options).regions(picture()).boxes
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1).sum()
        assert area == pytest.approx(640 * 480, rel=1e-3)
    centre = load_detector("dense", encoder, view="centre").regions(picture()).boxes
    assert centre[:, 0].min() == pytest.approx(80)
    assert centre[:, 2].max() == pytest.approx(560)
    assert (centre[:, 2:] - centre[:, :2]).prod(1).sum() == pytest.approx(480 * 480, rel=1e-3)


def test_similarity_map_covers_the_picture(encoder):
    sample = picture()
    for view, shape in (("full", (16, 21)), ("centre", (16, 21))):
        detector = load_detector("dense", encoder, view=view)
        query = of_the_thing(detector, sample)
        values = detector.similarity_map(sample, query)
        assert values.shape == shape
        row, column = np.unravel_index(values.argmax(), values.shape)
        x, y = (column + 0.5) * 640 / shape[1], (row + 0.5) * 480 / shape[0]
        assert THING[0] - 20 < x < THING[2] + 20
        assert THING[1] - 20 < y < THING[3] + 20


def test_swapping_the_class_needs_no_second_pass(encoder):
    detector = load_detector("dense", encoder, method="maskclip")
    other = np.array([60, 300, 180, 420], np.float32)
    pixels = picture().data.copy()
    pixels[300:420, 60:180] = (20, 230, 40)
    sample = ImageSample(pixels)
    regions = detector.regions(sample)
    classes = detector.new_classes()
    for box in (THING, other):
        classes.replace(["it"], [of_the_thing(detector, sample, box)])
        found = classes.detect(regions)
        assert box_iou(found.boxes[:1], box[None])[0, 0] > 0.5


def test_several_classes_each_have_their_box(encoder):
    detector = load_detector("dense", encoder, method="maskclip")
    other = np.array([60, 300, 180, 420], np.float32)
    pixels = picture().data.copy()
    pixels[300:420, 60:180] = (20, 230, 40)
    sample = ImageSample(pixels)
    classes = detector.new_classes()
    classes.replace(
        ["striped", "green"], [of_the_thing(detector, sample), of_the_thing(detector, sample, other)]
    )
    found = detector.detect(sample, classes)
    for label, box in (("striped", THING), ("green", other)):
        best = found.boxes[found.labels.index(label)]
        assert box_iou(best[None], box[None])[0, 0] > 0.5


def test_boxes_snap_to_proposals_that_overlap(encoder):
    exact, elsewhere = THING, np.array([0, 0, 50, 50], np.float32)
    boxes = Regions(np.stack([elsewhere, exact]), np.zeros((2, 32), np.float32), np.ones(2, np.float32))
    detector = load_detector("dense", encoder, proposals=lambda pixels: boxes)
    sample = picture()
    classes = detector.new_classes()
    classes.replace(["thing"], [of_the_thing(detector, sample)])
    np.testing.assert_array_equal(detector.detect(sample, classes).boxes[0], exact)


def test_windows_cover_the_grid_and_share_half():
    """At side 448 the picture is 32 x 43 patches, a window 16 x 16."""
    view = make_view("windows", picture().data, 448, 224, 14)
    assert view.grid == (32, 43)
    assert sorted({row for row, _ in view.corners}) == [0, 8, 16]
    columns = sorted({column for _, column in view.corners})
    assert (columns[0], columns[-1]) == (0, 43 - 16)
    assert max(np.diff(columns)) <= 8
    assert view.batch.shape == (len(view.corners), 3, 224, 224)


def test_windows_are_averaged_where_they_overlap():
    view = make_view("windows", picture().data, 448, 224, 14)
    axis = np.eye(2, dtype=np.float32)
    patches = np.stack([np.broadcast_to(axis[i % 2], (16, 16, 2)) for i in range(len(view.corners))])
    joined = view.join(patches)
    for row, column in ((0, 0), (12, 20), (31, 42)):
        here = [i for i, (r, c) in enumerate(view.corners) if 0 <= row - r < 16 and 0 <= column - c < 16]
        mean = axis[[i % 2 for i in here]].mean(0)
        np.testing.assert_allclose(joined[row, column], mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (37, 100), (1920, 1080), (30, 30)])
def test_any_reasonable_picture_works(encoder, size):
    detector = load_detector("dense", encoder)
    rng = np.random.default_rng(1)
    sample = ImageSample(rng.integers(0, 255, (size[1], size[0], 3), np.uint8))
    query = Embedding(np.eye(32)[0], Modality.VISION, detector.space)
    classes = detector.new_classes()
    classes.replace(["x"], [query])
    boxes = detector.detect(sample, classes).boxes
    assert boxes[:, [0, 2]].max(initial=0) <= size[0]
    assert boxes[:, [1, 3]].max(initial=0) <= size[1]


def test_no_classes_cost_no_vision_pass(encoder):
    detector = load_detector("dense", encoder)
    assert len(detector.detect(picture(), detector.new_classes())) == 0
    assert detector._newest is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "magic"}, "clearclip"),
        ({"view": "up"}, "centre, full, windows"),
        ({"side": 225}, "multiple of 14"),
        ({"view": "centre", "side": 448}, "'full'"),
    ],
)
def test_bad_options_are_refused(encoder, options, says):
    with pytest.raises(InvalidInputError, match=says):
        load_detector("dense", encoder, **options)


def test_strips_too_many_windows_and_strangers_are_refused(encoder):
    strip = ImageSample(np.zeros((20, 400, 3), np.uint8))
    with pytest.raises(InvalidInputError, match="long and narrow"):
        load_detector("dense", encoder).regions(strip)
    with pytest.raises(InvalidInputError, match="windows"):
        load_detector("dense", encoder, view="windows", side=224 * 8).regions(picture())
    with pytest.raises(UnsupportedModalityError):
        load_detector("dense", small_encoder("text"))
    with pytest.raises(InvalidInputError, match="imagebind_huge"):
        load_detector("dense", None)
    stranger = Embedding(np.eye(32)[0], Modality.AUDIO, Space("other", 32))
    with pytest.raises(SpaceMismatchError):
        load_detector("dense", encoder).similarity_map(picture(), stranger)


def test_higher_resolution_sees_smaller_patches(encoder):
    coarse = load_detector("dense", encoder).regions(picture())
    fine = load_detector("dense", encoder, side=448).regions(picture())
    assert len(fine) > 3.9 * len(coarse)
    assert torch.isfinite(torch.from_numpy(fine.embeddings)).all()
