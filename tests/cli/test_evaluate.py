"""`evaluate` on a small dataset made of the demo's scene: metrics, intervals, and entries that cannot be used."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from imagebind_node.demo.scenes import load_scenes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four animals of the meadow as pairs.json and scenes.json, in the layout that the command documents."""
    folder = tmp_path_factory.mktemp("dataset")
    scene = load_scenes()[0]
    shutil.copy(scene.image, folder / "scene.jpg")
    pairs, scenes = [], []
    with Image.open(scene.image) as picture:
        for cue in scene.cues:
            box = scene.things[cue.thing][0]
            picture.crop(box).save(folder / f"{cue.thing}.jpg", quality=95)
            shutil.copy(cue.sound, folder / cue.sound.name)
            pairs.append({"text": cue.thing, "image": f"{cue.thing}.jpg", "sound": cue.sound.name})
            scenes.append({"image": "scene.jpg", "sound": cue.sound.name, "label": cue.thing, "box": box})
    (folder / "pairs.json").write_text(json.dumps(pairs))
    (folder / "scenes.json").write_text(json.dumps(scenes))
    return folder


def test_retrieval(cli, dataset):
    document = cli("evaluate", "retrieval", dataset, "--json").document
    assert document["schema"] == "imagebind_node.evaluate_retrieval/1"
    assert document["n"] == 4
    assert len(document["directions"]) == 6
    found = document["directions"]["audio_to_vision"]["recall_at_1"]
    assert found["value"] >= 0.75
    assert found["chance"] == pytest.approx(0.25)
    low, high = found["ci95"]
    assert low <= found["value"] <= high
    table = cli("evaluate", "retrieval", dataset / "pairs.json").out
    assert "audio to vision" in table
    assert "(25.0)" in table


def test_retrieval_on_a_published_dataset(cli, refused, dataset, tmp_path):
    """Clotho's layout: sentences look for their sounds."""
    (tmp_path / "evaluation").mkdir()
    lines = ["file_name," + ",".join(f"caption_{i}" for i in range(1, 6))]
    for name in ("dog", "cow"):
        shutil.copy(dataset / f"{name}.flac", tmp_path / "evaluation" / f"{name}.wav")
        lines.append(f"{name}.wav," + ",".join([f"a {name}"] * 5))
    (tmp_path / "clotho_captions_evaluation.csv").write_text("\n".join(lines))
    document = cli("evaluate", "retrieval", tmp_path, "--dataset", "clotho", "--json").document
    assert (document["clips"], document["captions"]) == (2, 10)
    assert document["recall_at_1"]["value"] == 1.0
    assert document["recall_at_1"]["chance"] == pytest.approx(0.5)
    one = cli("evaluate", "retrieval", tmp_path, "--dataset", "clotho", "--limit", "1").out
    assert "5 captions of 1 clips" in one
    assert "--dataset" in refused("evaluate", "retrieval", dataset, "--limit", "1")
    kinds = ("--kinds", "kinds.yaml")
    assert "--kinds" in refused("evaluate", "retrieval", tmp_path, "--dataset", "clotho", *kinds)


def test_retrieval_by_kind(cli, refused, dataset, tmp_path):
    kinds = tmp_path / "kinds.yaml"
    kinds.write_text("sheep: grazer\ncow: grazer\n")
    document = cli("evaluate", "retrieval", dataset, "--kinds", kinds, "--json").document
    found = document["directions"]["audio_to_vision"]
    assert document["kinds"] == 3
    assert found["recall_at_1"]["chance"] == pytest.approx(0.25)
    assert found["same_kind"]["recall_at_1"]["chance"] == pytest.approx((0.25 + 0.25 + 0.5 + 0.5) / 4)
    table = cli("evaluate", "retrieval", dataset, "--kinds", kinds).out
    assert "word for word" in table
    assert "by kind" in table
    assert "(37.5)" in table
    kinds.write_text("sheep: [grazer]\n")
    assert "'sheep'" in refused("evaluate", "retrieval", dataset, "--kinds", kinds)


@pytest.mark.parametrize("query", ["sound", "text", "image"])
def test_detection(cli, dataset, query):
    document = cli("evaluate", "detection", dataset, "--query", query, "--json").document
    assert document["schema"] == "imagebind_node.evaluate_detection/1"
    assert document["query"] == query
    assert document["n"] == 4
    assert document["right_box"]["value"] >= 0.5 > document["right_box"]["chance"]
    assert document["proposal_recall"]["value"] >= document["right_box"]["value"]
    assert document["abstention"]["silence"] == 1.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sound": "nowhere.flac"}, "nowhere.flac"),
        ({"box": [5, 5, 1, 1]}, "box"),
        ({"label": 3}, "label"),
        ({"image": None}, "image"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(refused, dataset, change, reason):
    entries = json.loads((dataset / "scenes.json").read_text())
    entries[2].update(change)
    broken = dataset / "broken.json"
    broken.write_text(json.dumps(entries))
    line = refused("evaluate", "detection", broken)
    assert "entry 2" in line
    assert reason in line


@pytest.mark.parametrize("content", ["", "{}", "[]", "no JSON"])
def test_a_list_that_is_none_is_refused(refused, tmp_path, content):
    path = tmp_path / "pairs.json"
    path.write_text(content)
    assert "pairs.json" in refused("evaluate", "retrieval", path)


def test_a_folder_without_a_list_is_refused(refused, tmp_path):
    assert "scenes.json" in refused("evaluate", "detection", tmp_path)
    assert "TASK" in refused("evaluate")
