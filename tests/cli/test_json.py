"""The documents of --json: one on stdout, the fields that docs/cli.md promises."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imagebind_node.demo.scenes import demo_dir, load_scenes


def test_embed(cli, dog_photo, bark):
    document = cli("embed", dog_photo, bark, "text:dog", "--json").document
    assert document["schema"] == "imagebind_node.embed/1"
    assert document["model"] == "concept"
    assert [e["modality"] for e in document["embeddings"]] == ["vision", "audio", "text"]
    for entry in document["embeddings"]:
        assert set(entry) == {
            "input", "modality", "space", "dim", "window", "confidence", "abstained", "labels", "vector",
        }  # fmt: skip
        assert entry["space"].startswith("concept")
        assert entry["dim"] == 384
        assert np.linalg.norm(entry["vector"]) == pytest.approx(1, abs=1e-3)
        assert 0 <= entry["confidence"] <= 1


def test_embed_is_the_same_twice_and_can_be_saved(cli, tmp_path, dog_photo):
    first = cli("embed", dog_photo, "--json", "--out", tmp_path / "a.npz").out
    assert cli("embed", dog_photo, "--json").out == first
    with np.load(tmp_path / "a.npz") as saved:
        vector = json.loads(first)["embeddings"][0]["vector"]
        assert np.allclose(saved[str(dog_photo)], vector, atol=1e-6)


def test_a_saved_embedding_serves_as_query(cli, tmp_path, bark, dog_photo):
    path = tmp_path / "bark.json"
    path.write_text(cli("embed", bark, "--json").out)
    direct = cli("detect", "--image", dog_photo, "--query", bark, "--label", "x", "--json").document
    saved = cli(
        "detect", "--image", dog_photo, "--query", f"embedding:{path}", "--label", "x", "--json"
    ).document
    assert direct["detections"] == saved["detections"]


def test_similarity(cli, bark, bleat, dog_photo, sheep_photo):
    document = cli("similarity", bark, bleat, "--with", dog_photo, sheep_photo, "--json").document
    assert document["schema"] == "imagebind_node.similarity/1"
    cosine = np.array(document["cosine"])
    assert cosine.shape == (2, 2)
    assert (cosine.argmax(1) == [0, 1]).all()


def test_similarity_with_itself_is_one(cli):
    document = cli("similarity", "text:dog", "text:thunder", "--json").document
    assert np.diag(document["cosine"]) == pytest.approx(1.0, abs=1e-5)


def test_classify(cli, dog_photo, bark):
    document = cli("classify", dog_photo, bark, "--labels", "dog,airplane,piano", "--json").document
    assert document["schema"] == "imagebind_node.classify/1"
    assert document["temperature"] == 0.1
    for result in document["results"]:
        assert result["labels"][0]["label"] == "dog"
        assert sum(entry["probability"] for entry in result["labels"]) == pytest.approx(1.0)
        cosines = [entry["cosine"] for entry in result["labels"]]
        assert cosines == sorted(cosines, reverse=True)


def test_classify_top_and_temperature(cli, dog_photo):
    arguments = ["classify", dog_photo, "--labels", "dog,airplane,piano", "--json"]
    one = cli(*arguments, "--top", "1").document["results"][0]["labels"]
    assert len(one) == 1
    sharp = cli(*arguments, "--temperature", "0.01").document["results"][0]["labels"][0]["probability"]
    assert sharp > one[0]["probability"]


def test_retrieve_ranks_the_right_photo_first(cli, tmp_path, bark, dog_photo, sheep_photo):
    document = cli("retrieve", bark, "--among", dog_photo.parent, "--json").document
    assert document["schema"] == "imagebind_node.retrieve/1"
    assert document["candidates"] == 2
    assert document["results"][0]["input"] == str(dog_photo)
    listing = tmp_path / "list.txt"
    listing.write_text(f"{sheep_photo}\n\ntext:a dog\n")
    document = cli("retrieve", bark, "--among", listing, "--json").document
    assert document["results"][0]["input"] == "text:a dog"


def test_detect(cli, tmp_path, bark):
    scene = load_scenes()[0]
    out = tmp_path / "found.png"
    outcome = cli(
        "detect", "--image", scene.image, "--query", bark, "--query", "text:cow", "--out", out, "--json"
    )
    document = outcome.document
    assert document["schema"] == "imagebind_node.detect/1"
    assert document["image"] == {"path": str(scene.image), "width": 960, "height": 720}
    assert [query["label"] for query in document["queries"]] == ["dog", "cow"]
    assert document["detections"]
    for detection in document["detections"]:
        x0, y0, x1, y1 = detection["box"]
        assert 0 <= x0 < x1 <= 960
        assert 0 <= y0 < y1 <= 720
        assert 0.5 <= detection["score"] <= 1
        assert detection["label"] in ("dog", "cow")
    assert out.stat().st_size > 10000


@pytest.mark.parametrize("thing", ["dog", "cow", "sheep", "duck"])
def test_detect_finds_the_animal_of_the_meadow_by_its_sound(cli, thing):
    from imagebind_node.demo.verdict import best_iou

    scene = load_scenes()[0]
    outcome = cli(
        "detect", "--image", scene.image, "--query", demo_dir() / f"{thing}.flac", "--max", "1", "--json"
    )
    box = np.array(outcome.document["detections"][0]["box"])
    assert best_iou(box, scene.things[thing]) >= 0.5


def test_a_sum_moves_the_box(cli, bark):
    """Adding words for another thing and taking away the bark finds the other thing."""
    from imagebind_node.demo.verdict import best_iou

    scene = load_scenes()[0]
    query = f"text:sheep - 0.5 * audio:{bark}"
    document = cli("detect", "--image", scene.image, "--query", query, "--max", "1", "--json").document
    assert best_iou(np.array(document["detections"][0]["box"]), scene.things["sheep"]) >= 0.5


def test_bench(run_process):
    # In a process of its own: memory that earlier tests have freed would be counted as negative.
    document = json.loads(run_process("bench", "--runs", "3", "--json").stdout)
    assert document["schema"] == "imagebind_node.bench/1"
    assert [stage["stage"] for stage in document["stages"]] == ["image", "audio_hop", "detection", "text"]
    for stage in document["stages"]:
        assert 0 < stage["median_ms"] <= stage["p95_ms"]
    assert document["machine"]["threads"] >= 1
    assert document["memory"]["loaded_mib"] > 0
