"""Classes from examples, and probabilities fitted to them, with the real embedded model."""

from __future__ import annotations

import shutil

import pytest

from imagebind_node.demo.scenes import demo_dir
from imagebind_node.recognition import read_class_set

ANIMALS = ("dog", "cow", "duck")


@pytest.fixture
def sounds(tmp_path):
    """One sub-folder an animal, with its sound, twice; and a file that is no sound."""
    folder = tmp_path / "sounds"
    for animal in ANIMALS:
        (folder / animal).mkdir(parents=True)
        for name in ("a", "b"):
            shutil.copy(demo_dir() / f"{animal}.flac", folder / animal / f"{name}.flac")
    (folder / "dog" / "c.wav").write_bytes(b"RIFF junk")
    (folder / "dog" / "notes.pdf").write_bytes(b"%PDF")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "a.wav").write_bytes(b"")
    return folder


@pytest.mark.parametrize("method", ["means", "probe"])
def test_what_was_learnt_from_sounds_is_recognised(cli, tmp_path, sounds, method):
    out = tmp_path / "things.npz"
    document = cli("learn", sounds, "--out", out, "--method", method, "--json").document
    assert document["schema"] == "imagebind_node.learn/1"
    assert document["classes"] == dict.fromkeys(sorted(ANIMALS), 2)
    assert [entry["input"] for entry in document["unreadable"]] == [str(sounds / "dog" / "c.wav")]
    found = cli("classify", sounds / "cow" / "a.flac", "--few-shot", out, "--json").document
    (result,) = found["results"]
    assert result["labels"][0]["label"] == "cow"
    assert sum(entry["probability"] for entry in result["labels"]) == pytest.approx(1.0)
    assert result["labels"][0]["cosine"] is None
    assert found["temperature"] is None
    table = cli("classify", sounds / "cow" / "a.flac", "--few-shot", out, "--top", "1").out
    assert "cow" in table and "cosine" not in table


def test_probabilities_are_fitted_and_strangers_are_unknown(cli, tmp_path, sounds):
    others = tmp_path / "others" / "street"
    others.mkdir(parents=True)
    shutil.copy(demo_dir() / "horse.flac", others)
    shutil.copy(demo_dir() / "pig.flac", others)
    out = tmp_path / "fitted.yaml"
    document = cli("calibrate", sounds, "--others", others.parent, "--out", out, "--json").document
    assert document["schema"] == "imagebind_node.calibrate/1"
    assert document["accuracy"] == 1.0
    assert document["calibration_error_held_out"] < document["calibration_error_before"]
    fitted = read_class_set(out)
    assert fitted.labels == tuple(sorted(ANIMALS))
    assert fitted.temperature == pytest.approx(document["temperature"])
    assert 0 < fitted.unknown_cosine < 1
    results = cli("classify", others / "horse.flac", sounds / "dog" / "a.flac", "--class-set", out, "--json")
    horse, dog = (result["labels"][0]["label"] for result in results.document["results"])
    assert (horse, dog) == ("unknown", "dog")


def test_bad_examples_are_one_line(refused, tmp_path, sounds):
    (tmp_path / "empty").mkdir()
    assert "has no examples" in refused("learn", tmp_path / "empty", "--out", tmp_path / "a.npz")
    assert "must end in .npz" in refused("learn", sounds, "--out", tmp_path / "a.txt")
    (tmp_path / "junk.npz").write_bytes(b"junk")
    line = refused("classify", sounds / "cow" / "a.flac", "--few-shot", tmp_path / "junk.npz")
    assert "not a readable few-shot classifier" in line
    line = refused("classify", "text:cow", "--few-shot", tmp_path / "junk.npz", "--prompt", "a {}")
    assert "--few-shot" in line
    (tmp_path / "set.yaml").write_text("classes: [train, rain]\n")
    line = refused("calibrate", sounds, "--class-set", tmp_path / "set.yaml", "--out", tmp_path / "o.yaml")
    assert "'cow' is none of the classes: train, rain" in line
