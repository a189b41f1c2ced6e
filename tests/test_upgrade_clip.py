"""Any CLIP classifier, retriever and detector takes sound, depth, thermal and IMU queries over a bridge.

Sounds, motion and the towers that embed them are real, so are the pictures; depth and heat are made of those
pictures (their grey values), and CLIP and OWL-ViT are random and small. What is asserted is that queries arrive as
what the heads multiply with and tell things apart there; and, in a space that has meaning, that they keep theirs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagebind_node.bridge import Bridge
from imagebind_node.bridge.captions import class_names, generated_captions
from imagebind_node.bridge.fitting import fit_bridge
from imagebind_node.bridge.targets import open_target, text_tower
from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.clip import load_clip
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.errors import SpaceMismatchError
from imagebind_node.files import read_sample
from imagebind_node.samples import DepthSample, ImageSample, ImuSample, Modality, ThermalSample
from tests.detection.owl_models import write_clip, write_detector

DEMO = Path(__file__).parents[1] / "demo"
HAPT = Path(__file__).parent / "encoders" / "concept" / "hapt.npz"
SENSES = (Modality.AUDIO, Modality.DEPTH, Modality.THERMAL, Modality.IMU)


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    """The animals of two demo scenes, uint8 (H, W, 3)."""
    found = []
    for scene in json.loads((DEMO / "scenes.json").read_text())["scenes"][:2]:
        picture = np.asarray(Image.open(DEMO / scene["image"]).convert("RGB"))
        for boxes in scene["things"].values():
            x0, y0, x1, y1 = boxes[0]
            found.append(np.ascontiguousarray(picture[y0:y1, x0:x1]))
    return found


@pytest.fixture(scope="module")
def concept():
    return load_encoder("concept")


@pytest.fixture(scope="module")
def queries(concept, crops) -> dict[Modality, list[Embedding]]:
    """At least four embeddings of each sense."""
    grey = [crop.mean(2) for crop in crops]
    windows = np.load(HAPT)["data"].astype(np.float32).transpose(0, 2, 1)
    times = np.arange(windows.shape[1]) / 50.0
    samples = {
        Modality.AUDIO: [read_sample(path, Modality.AUDIO) for path in sorted(DEMO.glob("*.flac"))],
        Modality.DEPTH: [DepthSample((255 / (g + 20)).astype(np.float32)) for g in grey],
        Modality.THERMAL: [ThermalSample((29000 + 8 * g).astype(np.uint16)) for g in grey],
        Modality.IMU: [ImuSample(window, times) for window in windows[::4]],
    }
    return {sense: concept.encode(sense, samples[sense]) for sense in SENSES}


@pytest.fixture(scope="module")
def captions():
    return generated_captions(class_names(model_dir("concept")), ("a photo of a {}",))[::6]


@pytest.fixture(scope="module")
def caption_rows(concept, captions):
    return text_tower(concept)(captions)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_clip(write_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def bridge(concept, captions, caption_rows, clip, queries) -> Bridge:
    """Centred for each sense, as docs/upgrade_clip.md says."""
    made = fit_bridge(captions, caption_rows, text_tower(clip)(captions), concept.space, clip.space)
    for sense in SENSES:
        made = made.with_mean(sense, queries[sense])
    return made


@pytest.mark.parametrize("sense", SENSES)
def test_a_clip_classifier_takes_any_sense_as_its_classes(sense, clip, bridge, queries, crops):
    (image,) = clip.encode(Modality.VISION, [ImageSample(crops[0])])
    classes = [bridge.map(query) for query in queries[sense][:4]]
    probabilities = clip.zero_shot(image, classes)
    logits = np.array([image @ c for c in classes]) * float(clip._model.logit_scale.exp())
    expected = np.exp(logits - logits.max())
    np.testing.assert_allclose(probabilities, expected / expected.sum(), atol=1e-5)
    assert np.ptp(probabilities) > 1e-3, "the classes are told apart"
    np.testing.assert_allclose(clip.zero_shot(image, classes[::-1]), probabilities[::-1], atol=1e-6)
    with pytest.raises(SpaceMismatchError):
        clip.zero_shot(image, queries[sense][:4])


@pytest.mark.parametrize("sense", SENSES)
def test_a_clip_retriever_ranks_its_pictures_by_any_sense(sense, clip, bridge, queries, crops):
    """The index of pictures stays as this CLIP made it; each query scores it in a way of its own."""
    index = np.stack([e.vector for e in clip.encode(Modality.VISION, [ImageSample(c) for c in crops])])
    scores = np.stack([index @ bridge.map(query).vector for query in queries[sense]])
    assert np.isfinite(scores).all() and (np.abs(scores) <= 1 + 1e-5).all()
    assert (np.ptp(scores - scores.mean(1, keepdims=True), axis=0) > 1e-5).any(), "all queries mean the same"
    with pytest.raises(SpaceMismatchError):
        queries[sense][0] @ Embedding(index[0], Modality.VISION, clip.space)


@pytest.mark.parametrize("sense", SENSES)
def test_what_was_sensed_keeps_its_meaning_over_a_bridge(sense, concept, captions, caption_rows, queries):
    """Into a space that does have meaning, unlike a random CLIP's: that of our text tower, turned, shifted, noisy."""
    rng = np.random.default_rng(0)
    turn, shift = np.linalg.qr(rng.standard_normal((384, 384)))[0], 0.03 * rng.standard_normal(384)

    def turned(rows):
        rows = rows @ turn + shift + 0.01 * rng.standard_normal(rows.shape)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    space = Space("turned", 384)
    made = fit_bridge(captions, caption_rows, turned(caption_rows), concept.space, space)
    recognised = [query.labels[0][0] for query in queries[sense]]
    texts = sorted(set(recognised))
    prompts = [f"a photo of a {text}" for text in texts]
    own = text_tower(concept)(prompts)
    other = turned(own)
    here = [texts[int((own @ query.vector).argmax())] for query in queries[sense]]
    there = [texts[int((other @ made.map(query).vector).argmax())] for query in queries[sense]]
    right = np.mean([a == b for a, b in zip(there, recognised)])
    assert len(texts) >= 4 and right > 1.5 / len(texts), "chance"
    assert right >= np.mean([a == b for a, b in zip(here, recognised)]) - 0.3, "much is lost on the way"


@pytest.mark.parametrize("kind", ["owlvit", "owlv2"])
def test_a_clip_detector_takes_any_sense_as_its_query(
    kind, concept, captions, caption_rows, queries, crops, tmp_path
):
    folder = write_detector(tmp_path / "model", kind)
    space, encode = open_target(f"owlvit:{folder}")
    path = tmp_path / "bridge.safetensors"
    made = fit_bridge(captions, caption_rows, encode(captions), concept.space, space)
    for sense in SENSES:
        made = made.with_mean(sense, queries[sense])
    made.save(path)
    detector = load_detector("owlvit", concept, checkpoint=folder, bridge=path)
    picture = ImageSample(crops[0])
    pixels = detector.preprocess(picture)
    for sense in SENSES:
        classes = detector.new_classes()
        classes.replace(["one", "other"], queries[sense][:2])
        carried = np.stack([made.map(query).vector for query in queries[sense][:2]])
        np.testing.assert_allclose(classes.matrix.rows[:2], carried, atol=1e-6)
        logits = detector.logits(pixels, carried)
        assert (logits[:, 0] - logits[:, 1]).abs().max() > 1e-3, "the two queries are told apart"
        found = detector.detect(picture, classes)
        best = 1 / (1 + np.exp(-float(logits.max())))
        assert len(found) > 0 and found.scores[0] == pytest.approx(best, abs=0.02)
    with pytest.raises(SpaceMismatchError):
        load_detector("owlvit", checkpoint=folder).new_classes().replace(["one"], queries[sense][:1])
