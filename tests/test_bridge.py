"""Bridges: the fit, its file, its refusals; then sounds that drive other models' heads over one.

The text tower, the sounds and the caption set are real; OWL-ViT and CLIP are random and small (no hub here),
so these tests show that every path works and that the map is right, not how accurate a real pair would be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from imagebind_node.bridge import Bridge
from imagebind_node.bridge.captions import class_names, generated_captions, read_captions
from imagebind_node.bridge.fitting import METHODS, caption_hash, fit_bridge
from imagebind_node.bridge.targets import open_target, text_tower
from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding, Space, combine
from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.clip import load_clip
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.errors import (
    InvalidInputError,
    ModelFileError,
    SpaceMismatchError,
    UnsupportedModalityError,
)
from imagebind_node.files import read_sample
from imagebind_node.samples import ImageSample, Modality
from tests.detection.owl_models import write_clip, write_detector

DEMO = Path(__file__).parents[1] / "demo"
SOUNDS = ("dog", "cat", "cow", "duck", "horse", "owl", "pig", "sheep")
SOURCE, TARGET = Space("source", 24), Space("target", 40)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pair(count: int = 400, noise: float = 0.05, target: int = 40, seed: int = 0):
    """Captions whose target rows are a noisy turned copy of the source rows, around another mean."""
    rng = np.random.default_rng(seed)
    source = unit(rng.standard_normal((count, 24)))
    turn = np.linalg.qr(rng.standard_normal((max(24, target), max(24, target))))[0][:24, :target]
    shifted = source @ turn + 0.5 * rng.standard_normal(target) / target**0.5
    rows = unit(shifted + noise * rng.standard_normal((count, target)))
    return [f"caption {i}" for i in range(count)], source, rows


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [40, 24])
def test_a_turned_space_is_found_again_on_held_out_captions(method, target):
    captions, source, rows = pair(target=target)
    bridge = fit_bridge(captions, source, rows, SOURCE, Space("target", target), method=method)
    assert bridge.card["after"]["recall_at_1"] > 0.95
    assert bridge.card["after"]["cosine"] > 0.95
    assert bridge.card["before"]["recall_at_1"] < 0.1
    assert bridge.card["captions"] == {
        "sha256": caption_hash(captions),
        "count": 400,
        "held_out": 80,
    }


def test_unrelated_spaces_stay_at_chance():
    captions, source, _ = pair()
    rows = unit(np.random.default_rng(5).standard_normal((400, 40)))
    card = fit_bridge(captions, source, rows, SOURCE, TARGET).card
    assert card["after"]["recall_at_1"] < 0.1
    assert card["regularization"] >= 1, "nothing to learn: the penalty must be chosen high"


def test_procrustes_only_turns():
    captions, source, rows = pair(target=24)
    matrix = fit_bridge(captions, source, rows, SOURCE, Space("t", 24), method="procrustes").matrix
    gram = matrix @ matrix.T
    np.testing.assert_allclose(gram / gram[0, 0], np.eye(24), atol=1e-5)


def test_ridge_equals_the_normal_equations():
    captions, source, rows = pair()
    bridge = fit_bridge(captions, source, rows, SOURCE, TARGET, regularization=0.3, seed=4)
    train = np.random.default_rng(4).permutation(400)[80:]
    x, y = source[train] - source[train].mean(0), rows[train] - rows[train].mean(0)
    penalty = 0.3 * (np.linalg.svd(x, compute_uv=False) ** 2).mean()
    expected = np.linalg.solve(x.T @ x + penalty * np.eye(24), x.T @ y)
    np.testing.assert_allclose(bridge.matrix, expected, atol=1e-6)


@pytest.mark.parametrize("count", [40, 12])
def test_leave_one_out_choice_is_that_of_the_literal_loop(count):
    """Also with fewer captions than dimensions, where every caption can be fitted exactly."""
    from imagebind_node.bridge.fitting import LAMBDAS, _ridge

    rng = np.random.default_rng(6)
    x = rng.standard_normal((count, 20))
    y = x @ rng.standard_normal((20, 4)) + 3.0 * rng.standard_normal((count, 4))
    unit_penalty = (np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2).mean()

    def error(factor: float) -> float:
        total = 0.0
        for i in range(count):
            rest = np.arange(count) != i
            x_mean, y_mean = x[rest].mean(0), y[rest].mean(0)
            a, b = x[rest] - x_mean, y[rest] - y_mean
            fitted = np.linalg.solve(a.T @ a + factor * unit_penalty * np.eye(20), a.T @ b)
            total += ((y[i] - y_mean - (x[i] - x_mean) @ fitted) ** 2).sum()
        return total

    assert _ridge(x - x.mean(0), y - y.mean(0), None)[1] == min(LAMBDAS, key=error)


def test_centring_by_modality_closes_a_constant_gap():
    captions, source, rows = pair()
    bridge = fit_bridge(captions, source, rows, SOURCE, TARGET)
    gap = np.full(24, 0.4)
    shifted = unit(source + gap)
    sounds = [Embedding(row, Modality.AUDIO, SOURCE) for row in shifted]

    def hit_rate(chosen: Bridge) -> float:
        mapped = np.stack([chosen.map(sound).vector for sound in sounds[:100]])
        return float(((mapped @ rows.T).argmax(1) == np.arange(100)).mean())

    centred = bridge.with_mean("audio", sounds[100:])
    assert hit_rate(centred) > hit_rate(bridge) + 0.02
    assert hit_rate(centred) > 0.9


def test_save_and_load_keep_everything(tmp_path):
    captions, source, rows = pair()
    bridge = fit_bridge(captions, source, rows, SOURCE, TARGET)
    sounds = [Embedding(row, Modality.AUDIO, SOURCE) for row in source[:5]]
    bridge = bridge.with_mean("audio", sounds)
    bridge.save(tmp_path / "b.safetensors")
    again = Bridge.load(tmp_path / "b.safetensors")
    assert (again.source, again.target) == (SOURCE, TARGET)
    assert again.card["after"] == bridge.card["after"]
    np.testing.assert_array_equal(again.map(sounds[0]).vector, bridge.map(sounds[0]).vector)


def test_mapping_keeps_where_an_embedding_came_from():
    captions, source, rows = pair()
    bridge = fit_bridge(captions, source, rows, SOURCE, TARGET)
    cue = Embedding(
        source[0],
        Modality.AUDIO,
        SOURCE,
        stamp=5,
        frame_id="mic",
        window=1.0,
        confidence=0.7,
        labels=(("dog", 0.9),),
    )
    mapped = bridge.map(cue)
    assert mapped.space == TARGET
    assert (mapped.stamp, mapped.frame_id, mapped.window, mapped.confidence) == (5, "mic", 1.0, 0.7)
    assert (mapped.modality, mapped.labels) == (cue.modality, cue.labels)
    silent = Embedding(np.zeros(0), Modality.AUDIO, SOURCE, abstained=True)
    assert bridge.map(silent).abstained


def test_other_spaces_are_refused():
    captions, source, rows = pair()
    bridge = fit_bridge(captions, source, rows, SOURCE, TARGET)
    for space in (Space("other", 24), TARGET):
        with pytest.raises(SpaceMismatchError):
            bridge.map(Embedding(np.ones(space.dim), Modality.TEXT, space))
    mapped = bridge.map(Embedding(source[0], Modality.TEXT, SOURCE))
    with pytest.raises(SpaceMismatchError):
        combine([mapped, Embedding(source[0], Modality.TEXT, SOURCE)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"captions": ["a"] * 400}, "repeats"),
        ({"captions": ["a"]}, "at least 20"),
        ({"method": "magic"}, "ridge, procrustes"),
        ({"source_rows": np.zeros((400, 3))}, "source rows"),
        ({"target_rows": np.full((400, 40), np.nan)}, "NaN"),
        ({"held_out": 1.0}, "held_out"),
        ({"regularization": -1.0}, "negative"),
    ],
)
def test_bad_fits_are_refused(change, says):
    captions, source, rows = pair()
    arguments = {"captions": captions, "source_rows": source, "target_rows": rows, **change}
    with pytest.raises(InvalidInputError, match=says):
        fit_bridge(source=SOURCE, target=TARGET, **arguments)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="bridge fit"):
        Bridge.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not tensors")
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    save_file(
        {"matrix": np.zeros((2, 2), np.float32)},
        tmp_path / "half.safetensors",
        metadata={"format": "imagebind_node.bridge/1", "card": "{}"},
    )
    for name in ("text", "other", "half"):
        with pytest.raises(ModelFileError, match=name):
            Bridge.load(tmp_path / f"{name}.safetensors")


def test_generated_captions_are_the_same_everywhere():
    names = class_names(model_dir("concept"))
    captions = generated_captions(names)
    assert len(captions) == len(set(captions)) > 5000
    assert captions == generated_captions(class_names(model_dir("concept")))
    assert "a photo of a goldfish" in captions


def test_caption_files(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a dog\n\n  a cat \na dog\n", encoding="utf-8")
    assert read_captions(path) == ["a dog", "a cat"]
    path.write_text("\n\n")
    with pytest.raises(InvalidInputError, match="no captions"):
        read_captions(path)
    with pytest.raises(InvalidInputError, match="no such file"):
        read_captions(tmp_path / "none")


@pytest.fixture(scope="module")
def concept():
    return load_encoder("concept", modalities=["text", "audio"])


@pytest.fixture(scope="module")
def sounds(concept):
    return [
        concept.encode(Modality.AUDIO, [read_sample(DEMO / f"{name}.flac", Modality.AUDIO)])[0]
        for name in SOUNDS
    ]


@pytest.fixture(scope="module")
def captions():
    return generated_captions(class_names(model_dir("concept")), ("a photo of a {}",))[::10]


def joined(concept, captions, folder: Path, kind: str, path: Path) -> Bridge:
    space, encode = open_target(f"{kind}:{folder}")
    bridge = fit_bridge(captions, text_tower(concept)(captions), encode(captions), concept.space, space)
    bridge.save(path)
    return bridge


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_clip(write_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def to_clip(concept, captions, clip, tmp_path_factory):
    target = text_tower(clip)(captions)
    return fit_bridge(captions, text_tower(concept)(captions), target, concept.space, clip.space)


def test_the_clip_encoder_equals_the_library(clip):
    """Features by the library's own call, with its attention mask, against ours without."""
    import torch

    texts = ["a dog", "a photo of a red tractor in the yard"]
    tokens = clip._tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt")
    with torch.inference_mode():
        theirs = clip._model.get_text_features(**tokens)
    theirs = getattr(theirs, "pooler_output", theirs)
    theirs = torch.nn.functional.normalize(theirs, dim=-1).numpy()
    np.testing.assert_allclose(text_tower(clip)(texts), theirs, atol=1e-5)


def test_sounds_drive_a_clip_zero_shot_classifier(clip, to_clip, sounds):
    """The head's weights are replaced by carried-over sounds: probabilities are softmax(scale x cosine)."""
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    (image,) = clip.encode(Modality.VISION, [ImageSample(pixels)])
    classes = [to_clip.map(sound) for sound in sounds]
    probabilities = clip.zero_shot(image, classes)
    logits = np.array([image @ c for c in classes]) * clip._model.logit_scale.exp().item()
    assert probabilities.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        np.log(probabilities[0] / probabilities[1:]), logits[0] - logits[1:], atol=1e-4
    )
    assert probabilities.std() > 0
    with pytest.raises(SpaceMismatchError):
        clip.zero_shot(image, sounds)


def test_sounds_drive_a_retriever(clip, to_clip, sounds):
    """A sound ranks this CLIP's captions: its carried-over vector is nearer to its own animal than chance says."""
    texts = [f"a photo of a {name}" for name in SOUNDS]
    targets = text_tower(clip)(texts)
    ranks = []
    for i, sound in enumerate(sounds):
        order = np.argsort(-(targets @ to_clip.map(sound).vector))
        ranks.append(int(np.flatnonzero(order == i)[0]))
    assert np.mean(ranks) < (len(SOUNDS) - 1) / 2


@pytest.mark.parametrize("kind", ["owlvit", "owlv2"])
def test_sounds_drive_owlvit(kind, concept, captions, sounds, tmp_path):
    folder = write_detector(tmp_path / "model", kind)
    path = tmp_path / "bridge.safetensors"
    bridge = joined(concept, captions, folder, "owlvit", path)
    detector = load_detector("owlvit", concept, checkpoint=folder, bridge=path)
    assert detector.space == concept.space
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    classes = detector.new_classes()
    classes.replace(SOUNDS[:2], sounds[:2])
    np.testing.assert_allclose(classes.matrix.rows[0], bridge.map(sounds[0]).vector, atol=1e-6)
    found = detector.detect(ImageSample(pixels), classes)
    assert len(found) > 0
    expected = detector.logits(detector.preprocess(ImageSample(pixels)), classes.matrix.rows).numpy()
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-expected.max())), abs=0.02)
    with pytest.raises(SpaceMismatchError):
        load_detector("owlvit", checkpoint=folder).new_classes().replace(["dog"], sounds[:1])


def test_a_bridge_between_others_is_refused_when_the_detector_loads(concept, tmp_path):
    folder = write_detector(tmp_path / "model", "owlvit")
    detector = load_detector("owlvit", checkpoint=folder)
    captions, source, rows = pair(target=32)
    fit_bridge(captions, source, rows, SOURCE, detector.space).save(tmp_path / "b.safetensors")
    with pytest.raises(SpaceMismatchError):
        load_detector("owlvit", concept, checkpoint=folder, bridge=tmp_path / "b.safetensors")
    fit_bridge(captions, source, rows, SOURCE, Space("elsewhere", 32)).save(tmp_path / "c.safetensors")
    with pytest.raises(SpaceMismatchError):
        load_detector("owlvit", checkpoint=folder, bridge=tmp_path / "c.safetensors")


def test_missing_and_foreign_clips_say_so(tmp_path):
    with pytest.raises(ModelFileError, match="no CLIP"):
        load_clip(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "owlvit"}')
    with pytest.raises(ModelFileError, match="not a CLIP"):
        load_clip(tmp_path)
    with pytest.raises(UnsupportedModalityError):
        load_clip(tmp_path, modalities=[Modality.AUDIO])
    with pytest.raises(InvalidInputError, match="owlvit:FOLDER"):
        open_target("elsewhere")


def test_the_command_fits_and_shows(tmp_path):
    folder = write_clip(tmp_path / "clip")
    words = tmp_path / "captions.txt"
    words.write_text(
        "\n".join(generated_captions(class_names(model_dir("concept")))[:1000:5]), encoding="utf-8"
    )
    out = tmp_path / "b.safetensors"
    fit = ["fit", "--to", f"clip:{folder}", "--out", str(out), "--captions", str(words), "--json"]
    centre = ["--centre", *(str(DEMO / f"{name}.flac") for name in SOUNDS[:4])]
    document = json.loads(_command(*fit, *centre).stdout)
    assert document["captions"]["count"] == 200
    assert document["centred"] == ["audio", "text"]
    shown = json.loads(_command("show", str(out), "--json").stdout)
    assert shown["after"] == document["after"]
    assert "R@1" in _command("show", str(out)).stdout
    bad = _command("fit", "--to", "clip:/nowhere", "--out", str(out), check=False)
    assert bad.returncode == 2
    assert len(bad.stderr.strip().splitlines()) == 1


def _command(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "imagebind_node.cli.main", "bridge", *arguments],
        capture_output=True,
        text=True,
        check=check,
        timeout=150,
    )
