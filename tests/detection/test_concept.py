"""The concept detector on a photographed scene with the sounds of what is in it (demo/CREDITS.md)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.concept import ConceptDetector, crop
from imagebind_node.detection.detections import box_iou
from imagebind_node.detection.proposals import AREA_ENOUGH, ProposalNetwork, network_size
from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.errors import InvalidInputError, SpaceMismatchError, UnsupportedModalityError
from imagebind_node.files import read_image
from imagebind_node.samples import AudioSample, ImageSample

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept", modalities=["vision", "audio", "text"])


@pytest.fixture(scope="module")
def detector(encoder):
    return load_detector("concept", encoder)


@pytest.fixture(scope="module")
def meadow():
    return read_image(DEMO / "meadow.jpg")


def cue(encoder, name):
    data, rate = soundfile.read(DEMO / f"{name}.flac", dtype="float32")
    return encoder.encode("audio", [AudioSample(data, rate)])[0]


def test_a_sound_finds_the_thing_that_made_it(encoder, detector, meadow):
    boxes = {}
    for name in ("dog", "sheep", "duck"):
        classes = detector.new_classes()
        classes.replace([name], [cue(encoder, name)])
        boxes[name] = detector.detect(meadow, classes).boxes[:1]
        found = detector.detect(meadow, classes)
        assert found.labels[0] == name
    # Different sounds, different places.
    for a, b in (("dog", "sheep"), ("dog", "duck"), ("sheep", "duck")):
        assert box_iou(boxes[a], boxes[b])[0, 0] < 0.3


def test_boxes_are_those_of_the_composition(encoder, detector, meadow):
    scenes = json.loads((DEMO / "scenes.json").read_text())["scenes"]
    (things,) = (scene["things"] for scene in scenes if scene["image"] == "meadow.jpg")
    right = []
    for name, boxes in things.items():
        classes = detector.new_classes()
        classes.replace([name], [cue(encoder, name)])
        best = detector.detect(meadow, classes).boxes[:1]
        right.append(box_iou(best, np.array(boxes, np.float32)).max() >= 0.5)
    assert len(right) >= 3 and np.mean(right) >= 0.75


def test_regions_are_what_they_claim(detector, meadow):
    regions = detector.regions(meadow)
    height, width = meadow.data.shape[:2]
    assert 1 <= len(regions) <= 6
    assert regions.boxes.dtype == regions.embeddings.dtype == np.float32
    assert (regions.boxes[:, :2] >= 0).all() and (regions.boxes[:, 2:] <= (width, height)).all()
    assert (regions.boxes[:, 2:] > regions.boxes[:, :2]).all()
    assert np.allclose(np.linalg.norm(regions.embeddings, axis=1), 1, atol=1e-4)
    assert ((regions.objectness > 0) & (regions.objectness <= 1)).all()
    assert (regions.prior <= 0).all() and (np.diff(regions.prior) <= 0).all()


def test_bfloat16_finds_the_same(encoder, meadow):
    plain, fast = (ConceptDetector(encoder, precision=p).regions(meadow) for p in ("fp32", "bf16"))
    near = box_iou(plain.boxes, fast.boxes)
    matched = near.max(1) > 0.8
    assert matched.mean() >= 0.8
    cosines = (plain.embeddings * fast.embeddings[near.argmax(1)]).sum(1)[matched]
    assert np.median(cosines) > 0.97


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (8, 8), (10, 4000), (4000, 10), (480, 640), (3000, 4000)])
def test_pictures_of_any_size(encoder, detector, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    regions = detector.regions(ImageSample(pixels))
    assert regions.embeddings.shape == (len(regions), 384)
    assert (regions.boxes[:, 2:] <= (size[1], size[0])).all()
    heat = detector.similarity_map(ImageSample(pixels), encoder.encode("text", ["dog"])[0])
    assert heat.ndim == 2 and heat.dtype == np.float32 and np.isfinite(heat).all()


def test_the_map_is_warm_where_the_thing_is(encoder, detector, meadow):
    query = encoder.encode("text", ["duck"])[0]
    classes = ClassEmbeddings(detector.space)
    classes.replace(["duck"], [query])
    x0, y0, x1, y1 = detector.detect(meadow, classes).boxes[0]
    heat = detector.similarity_map(meadow, query)
    scale = np.array(heat.shape)[::-1] / (meadow.data.shape[1], meadow.data.shape[0])
    column, row = (np.array([(x0 + x1) / 2, (y0 + y1) / 2]) * scale).astype(int)
    assert heat[row, column] > np.median(heat)


def test_a_crop_keeps_to_the_picture():
    pixels = np.full((100, 200, 3), 10, np.uint8)
    pixels[20:60, 50:150] = 200
    inner = crop(pixels, np.array([50, 20, 150, 60], np.float32))
    assert inner.shape == (192, 192, 3) and inner[96, 96, 0] == 200 and inner[2, 96, 0] == 10
    edge = crop(pixels, np.array([0, 0, 200, 100], np.float32))
    assert edge[0, 0, 0] in range(60, 128) and edge[96, 96, 0] == 200


def test_the_network_keeps_the_shape_of_pictures():
    assert network_size(640, 480) == (416, 320)
    assert network_size(480, 640) == (320, 416)
    assert network_size(10_000, 1) == (416, 32)
    assert network_size(512, 512) == (416, 416)


def test_proposals_come_best_first_and_apart(meadow):
    proposals = ProposalNetwork(model_dir(), iou=0.5, limit=12)(meadow.data)
    assert len(proposals.boxes) <= 12 and (np.diff(proposals.quality) <= 0).all()
    overlaps = box_iou(proposals.boxes, proposals.boxes)
    np.fill_diagonal(overlaps, 0)
    assert overlaps.max() < 0.5
    assert (proposals.quality <= 0).all() and 0 < AREA_ENOUGH < 1


def test_queries_of_another_space_are_refused(detector, meadow):
    stranger = Space("imagebind_huge", 384)
    with pytest.raises(SpaceMismatchError):
        detector.detect(meadow, ClassEmbeddings(stranger))
    with pytest.raises(SpaceMismatchError):
        detector.similarity_map(meadow, Embedding(np.ones(384, np.float32), "text", stranger))


def test_what_it_cannot_stand_on_is_refused(encoder):
    with pytest.raises(InvalidInputError, match="concept"):
        load_detector("concept", None)
    with pytest.raises(UnsupportedModalityError):
        load_detector("concept", load_encoder("concept", modalities=["audio"]))
    with pytest.raises(InvalidInputError, match="precision"):
        load_detector("concept", encoder, precision="int8")
    with pytest.raises(InvalidInputError, match="limit"):
        load_detector("concept", encoder, limit=0)
