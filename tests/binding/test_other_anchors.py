"""Binding to what is no picture: the words of a pair, or a teacher that sees what the student sees."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pictures_and_grids import bind, picture, write_recipe, write_shards

from imagebind_node import load_encoder
from imagebind_node.binding.shards import Pair


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_student_of_the_depth_tower_takes_its_place(tmp_path):
    """Distillation: no pictures, the teacher sees what the student sees."""
    rng = np.random.default_rng(2)
    depths = [2 + 3 * picture(rng)[..., 0].astype(np.float32) / 255 for _ in range(24)]
    pairs = [("train", Pair(f"{i}", None, depth, {"session": str(i)})) for i, depth in enumerate(depths)]
    data = write_shards(tmp_path / "data", pairs)
    recipe = write_recipe(
        tmp_path / "recipe.yaml",
        modality="depth",
        preprocessing={"name": "grey", "side": 16},
        tower={"name": "conv2d", "channels": 1, "widths": [16, 32], "blocks": 1},
        anchor={"model": "concept", "modality": "depth"},
        loss={"contrastive": 0.0, "cosine": 1.0},
        training={"batch": 24, "epochs": 100, "learning_rate": 0.01, "checkpoint_every": 100},
        augmentations=[],
    )
    assert bind(recipe, data, tmp_path / "out") == 0
    teacher = load_encoder("concept", modalities=["depth"])
    student = load_encoder("concept", modalities=["depth"], bound=[tmp_path / "out" / "bound"])
    agree = [a @ b for a, b in zip(teacher.encode("depth", depths), student.encode("depth", depths))]
    assert np.mean(agree) > 0.8
    assert agree[0] < 1 - 1e-6  # the student's, not the teacher's own


def test_words_as_anchors_need_no_picture(tmp_path, capsys):
    times = np.linspace(-1.3, 1.3, 128)
    pairs = []
    for number in range(12):
        sense = np.column_stack([times, np.sin(times[:, None] * (1 + number % 2) * np.arange(1, 7))])
        facts = {"session": str(number), "text": ("walking", "sitting still")[number % 2]}
        pairs.append(("train" if number < 8 else "test", Pair(f"{number:02d}", None, sense, facts)))
    data = write_shards(tmp_path / "data", pairs)
    recipe = write_recipe(
        tmp_path / "recipe.yaml",
        modality="imu",
        preprocessing={"name": "imagebind.imu", "rate": 50, "seconds": 2.56},
        tower={"name": "conv1d", "channels": 6, "widths": [16, 32], "blocks": 1},
        anchor={"modality": "text"},
        loss={"contrastive": 0.0, "cosine": 1.0},
        training={"batch": 8, "epochs": 60, "learning_rate": 0.01},
        augmentations=[],
    )
    assert bind(recipe, data, tmp_path / "out", "--json") == 0
    test = json.loads(capsys.readouterr().out)["test"]
    assert test["gallery"] == 2 and test["recall_at_1"]["chance"] == 0.5
    assert test["recall_at_1"]["value"] == 1.0
    # The tower that was bound takes whole windows only; the model's own takes shorter ones.
    encoder = load_encoder("concept", modalities=["imu"], bound=[tmp_path / "out" / "bound"])
    assert encoder.shortest_window("imu") == encoder.window("imu") == 2.56
    assert load_encoder("concept", modalities=["imu"]).shortest_window("imu") == 0.64
