"""The main job from end to end: separate processes, real DDS, the bundled scene."""

from __future__ import annotations

import json
import os

import numpy as np
from PIL import Image

from imagebind_node.demo.scenes import load_scenes


def test_every_sound_of_the_meadow_finds_its_animal(run_process, tmp_path):
    out = tmp_path / "out"
    result = run_process("demo", "--json", "--out", out, ROS_DOMAIN_ID=str(20 + os.getpid() % 80))
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads(result.stdout)
    assert document["schema"] == "imagebind_node.demo/1"
    assert document["found"] == document["cues"] == 4
    (scene,) = document["scenes"]
    assert [cue["expected"] for cue in scene["cues"]] == [cue.thing for cue in load_scenes()[0].cues]
    for cue in scene["cues"]:
        assert cue["iou"] >= 0.5
        assert cue["seconds_to_first_box"] > 0
    counts = scene["counts"]
    assert counts["lost_sound_frames"] == 0
    assert 0 <= counts["sound_frames"] - 16000 * 29 < 16000
    assert counts["pictures"] > 100
    assert counts["audio_embeddings"] > 50
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) == 5
    for path in pictures:
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 10


def test_a_score_that_nothing_reaches_fails_the_demo(run_process, tmp_path):
    result = run_process(
        "demo", "--json", "--out", tmp_path, "--min-score", "1.0", ROS_DOMAIN_ID=str(20 + os.getpid() % 80)
    )
    assert result.returncode == 1, result.stderr
    document = json.loads(result.stdout)
    assert document["found"] < document["cues"]


def test_an_unknown_scene_is_refused(refused):
    assert "meadow" in refused("demo", "--scene", "moon")
