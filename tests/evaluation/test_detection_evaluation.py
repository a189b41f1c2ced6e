from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from imagebind_node.detection.registry import load_detector
from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation import evaluate_detection

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept", modalities=["audio", "text", "vision"])


@pytest.fixture(scope="module")
def detector(encoder):
    return load_detector("concept", encoder)


@pytest.fixture
def scenes(tmp_path):
    things = json.loads((DEMO / "scenes.json").read_text())["scenes"]
    (meadow,) = (scene for scene in things if scene["image"] == "meadow.jpg")
    shutil.copy(DEMO / "meadow.jpg", tmp_path)
    entries = []
    for name in ("sheep", "duck"):
        shutil.copy(DEMO / f"{name}.flac", tmp_path)
        entries.append(
            {"image": "meadow.jpg", "sound": f"{name}.flac", "label": name, "box": meadow["things"][name][0]}
        )
    path = tmp_path / "scenes.json"
    path.write_text(json.dumps(entries))
    return path, entries


@pytest.mark.parametrize("query", ["sound", "text"])
def test_right_boxes_are_counted(encoder, detector, scenes, query):
    report = evaluate_detection(detector, encoder, scenes[0], query=query)
    assert report["n"] == 2 and report["right_box"]["value"] == 1.0
    assert report["proposal_recall"]["value"] == 1.0
    assert 0 < report["right_box"]["chance"] < 0.7
    assert 0 < report["average_precision"]["value"] <= 1
    assert report["abstained"] == 0 and report["detect_ms"] > 0
    assert report["abstention"]["silence"] == 1.0 and report["abstention"]["white_noise"] >= 0.9
    json.dumps(report)


def test_wrong_boxes_are_not(encoder, detector, scenes):
    path, entries = scenes
    entries[0]["box"], entries[1]["box"] = entries[1]["box"], entries[0]["box"]
    path.write_text(json.dumps(entries))
    assert evaluate_detection(detector, encoder, path)["right_box"]["value"] == 0.0


def test_a_silent_cue_is_a_miss(encoder, detector, scenes):
    import numpy as np
    import soundfile

    path, _ = scenes
    soundfile.write(path.parent / "duck.flac", np.zeros(16_000, np.float32), 16_000)
    report = evaluate_detection(detector, encoder, path)
    assert report["abstained"] == 0.5 and report["right_box"]["value"] == 0.5


def test_image_queries_take_the_pairs_beside(encoder, detector, scenes):
    path, _ = scenes
    with pytest.raises(InvalidInputError, match=r"pairs\.json"):
        evaluate_detection(detector, encoder, path, query="image")
    pairs = [{"text": "sheep", "image": "meadow.jpg"}]
    (path.parent / "pairs.json").write_text(json.dumps(pairs))
    with pytest.raises(InvalidInputError, match="entry 1.*'duck'"):
        evaluate_detection(detector, encoder, path, query="image")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"box": [1, 2, 3]}, "x0 < x1"),
        ({"box": [5, 5, 1, 9]}, "x0 < x1"),
        ({"box": "all"}, "needs 'box'"),
        ({"image": "none.jpg"}, "none.jpg"),
        ({"sound": 3}, "needs 'sound'"),
    ],
)
def test_unusable_entries_are_named(encoder, detector, scenes, change, word):
    path, entries = scenes
    entries[1].update(change)
    path.write_text(json.dumps(entries))
    with pytest.raises(InvalidInputError, match=word) as caught:
        evaluate_detection(detector, encoder, path)
    assert "entry 1" in str(caught.value)


def test_an_unknown_query_kind_is_refused(encoder, detector, scenes):
    with pytest.raises(InvalidInputError, match="smell"):
        evaluate_detection(detector, encoder, scenes[0], query="smell")
