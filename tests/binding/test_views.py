"""Augmented versions of pictures: where they are cut, what the other sense then sees, how a training uses them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from pictures_and_grids import bind, picture, write_recipe, write_shards
from PIL import Image

from imagebind_node.binding import anchors
from imagebind_node.binding.picture_changes import OPERATIONS, color_jitter, erase, rand_augment
from imagebind_node.binding.shards import Pair
from imagebind_node.binding.views import SIDE, WHOLE, ViewAnchors, Views, input_view, picture_view, region
from imagebind_node.errors import InvalidInputError


def scene(height: int = 240, width: int = 240) -> np.ndarray:
    rng = np.random.default_rng(3)
    return cv2.resize(
        rng.integers(0, 256, (8, 8, 3), np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
    )


@pytest.mark.parametrize(("frame", "width"), [("whole", 300), ("centre", 300)])
def test_the_other_sense_is_cut_where_the_picture_is(frame, width):
    image = scene(240, width)
    framed = image if frame == "whole" else image[:, 30:270]
    grey = cv2.cvtColor(cv2.resize(framed, (SIDE, SIDE)), cv2.COLOR_RGB2GRAY)
    sense = torch.from_numpy(grey).float()[None]
    views = Views(count=12, frame=frame, aligned=True)
    seen, flips = [], set()
    for number in range(views.count):
        place = region(views, "a", number)
        version = cv2.cvtColor(picture_view(image, views, "a", number), cv2.COLOR_RGB2GRAY)
        felt = input_view(sense, place)[0].numpy()
        assert np.corrcoef(version.ravel(), felt.ravel())[0, 1] > 0.98
        seen.append(version)
        flips.add(bool(place[4]))
    assert flips == {True, False}
    other = np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1]
    assert other < 0.9


def test_regions_follow_the_recipe():
    views = Views(count=1, scale=(0.2, 0.6), flip=0.0)
    places = np.array([region(views, str(key), 0) for key in range(300)])
    area = places[:, 2] * places[:, 3]
    assert area.min() > 0.15 and area.max() <= 0.6 + 1e-6
    assert (places[:, :2] >= 0).all() and (places[:, 0] + places[:, 2] <= 1 + 1e-6).all()
    assert not places[:, 4].any()
    assert (region(views, "7", 0) == places[7]).all()
    assert len(np.unique(places, axis=0)) == 300


def test_the_whole_is_the_whole():
    sense = torch.rand(1, 9, 11)
    assert torch.equal(input_view(sense, WHOLE), sense)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_operations_change_a_picture_but_not_its_form(name, sign):
    before = Image.fromarray(scene())
    after = OPERATIONS[name](before, 0.9, sign)
    assert (after.mode, after.size) == ("RGB", before.size)
    assert not np.array_equal(np.array(after), np.array(before))


def test_changes_come_from_the_generator_alone():
    image = Image.fromarray(scene())

    def changed(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.array(rand_augment(color_jitter(image, rng, 0.4), rng, 9))

    assert np.array_equal(changed(1), changed(1))
    assert not np.array_equal(changed(1), changed(2))
    erased = [erase(scene(), np.random.default_rng(seed)) for seed in range(20)]
    shares = [(e != scene()).any(2).mean() for e in erased]
    assert min(shares) > 0 and max(shares) < 0.4


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Pairs whose other sense is the grey of the picture itself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    pairs = []
    for session in range(8):
        for number in range(4):
            image = picture(rng)
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[None].astype(np.float32) / 255
            pairs.append(("train", Pair(f"{session}_{number}", image, grey, {"session": f"s{session}"})))
    return write_shards(tmp_path / "data", pairs)


VIEWS = {"count": 3, "scale": [0.3, 1.0], "jitter": 0.4, "rand_augment": 9, "erase": 0.25, "frame": "whole"}
TOWER = {"name": "conv2d", "channels": 1, "widths": [8, 16], "blocks": 1}


def test_versions_are_embedded_once_and_resumed_to_the_bit(data, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path / "recipe.yaml", tower=TOWER, views={**VIEWS, "aligned": True})
    assert bind(recipe, data, tmp_path / "whole") == 0
    monkeypatch.setattr(anchors.AnchorTower, "embed", lambda self, samples: pytest.fail("embedded again"))
    assert bind(recipe, data, tmp_path / "parts", "--until", "2") == 0
    versions = np.load(tmp_path / "parts" / "inputs" / "train_versions.npy")
    whole = np.load(tmp_path / "parts" / "inputs" / "train_anchors.npy")
    assert versions.shape == (32, 3, 384) and not np.allclose(versions[:, 0], whole)
    assert np.load(tmp_path / "parts" / "inputs" / "train_places.npy").shape == (32, 3, 5)
    assert bind(recipe, data, tmp_path / "parts", "--resume") == 0
    found = [(tmp_path / name / "bound" / "tower.safetensors").read_bytes() for name in ("whole", "parts")]
    assert found[0] == found[1]
    plain = write_recipe(tmp_path / "plain.yaml", tower=TOWER, views={**VIEWS, "aligned": False})
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert bind(plain, data, tmp_path / "loose") == 0
    assert (tmp_path / "loose" / "bound" / "tower.safetensors").read_bytes() != found[0]


def test_a_draw_takes_input_and_anchor_of_the_same_version():
    places = np.tile(WHOLE, (2, 2, 1))
    places[1, 1] = [0.5, 0, 0.5, 1, 0]
    views = ViewAnchors(np.arange(8, dtype=np.float32).reshape(2, 2, 2), places)
    sense = torch.arange(4.0).expand(1, 4, 4)
    whole, first = views.draw(1, 6, sense)
    right, second = views.draw(1, 7, sense)
    assert torch.equal(whole, sense) and first.tolist() == [4, 5]
    assert float(right.min()) >= 1.9 and second.tolist() == [6, 7]


def test_aligned_views_need_a_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_shards(tmp_path / "data")
    recipe = write_recipe(tmp_path / "recipe.yaml", views={"count": 2, "aligned": True})
    with pytest.raises(InvalidInputError, match="aligned needs inputs"):
        ViewAnchors(np.zeros((1, 1, 2), np.float32), np.tile(WHOLE, (1, 1, 1))).draw(0, 0, torch.zeros(3, 36))
    assert bind(recipe, tmp_path / "data", tmp_path / "out") == 2
    assert "aligned needs inputs" in capsys.readouterr().err
    assert json.loads(recipe.read_text())["views"]["count"] == 2
