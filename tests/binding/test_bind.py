"""The command `bind` and its bound checkpoint: real towers, real shards, from data to comparable embeddings."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml
from pictures_and_grids import bind, picture, view, write_recipe, write_shards
from PIL import Image
from safetensors.torch import load_file

from imagebind_node import load_encoder
from imagebind_node.binding import anchors
from imagebind_node.binding.bound import read_bound_card
from imagebind_node.binding.shards import Pair
from imagebind_node.cli.main import main
from imagebind_node.errors import InvalidInputError, ModelFileError, SpaceMismatchError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    return write_shards(tmp_path / "data")


@pytest.fixture(scope="module")
def bound(tmp_path_factory):
    """A tower that was trained long enough to know its training pictures."""
    folder = tmp_path_factory.mktemp("bound")
    write_shards(folder / "data")
    training = {"batch": 32, "epochs": 150, "learning_rate": 0.01, "checkpoint_every": 50}
    recipe = write_recipe(folder / "recipe.yaml", training=training, augmentations=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert bind(recipe, folder / "data", folder / "out", "--licence", "CC0") == 0
    return folder / "out" / "bound"


def test_a_bound_sense_finds_its_pictures(bound):
    encoder = load_encoder("concept", modalities=["vision", "grid"], bound=[bound])
    rng = np.random.default_rng(0)
    pictures = [picture(rng) for _ in range(32)]
    seen = encoder.encode("vision", pictures)
    felt = encoder.encode("grid", [view(p) for p in pictures])
    assert felt[0].space == seen[0].space and str(felt[0].modality) == "grid"
    cosines = np.array([[f @ s for s in seen] for f in felt])
    assert (cosines.argmax(1) == np.arange(32)).mean() > 0.7  # chance is 1 / 32


def test_the_card_says_what_it_is(bound):
    card = read_bound_card(bound)
    assert card["modality"] == "grid" and card["space"] == {"id": "concept-1", "dim": 384}
    assert card["data"]["licence"] == "CC0" and "CC0" in card["licence"]
    assert card["data"]["pairs"] == {"train": 32, "val": 8, "test": 8}
    assert card["input"] == {"topic": "/grid", "type": "std_msgs/msg/Float32MultiArray", "read": "data"}
    assert card["test"]["recall_at_1"]["n"] == 8


def test_the_command_line_takes_a_bound_tower(bound, tmp_path, capsys):
    np.save(tmp_path / "g.npy", view(picture(np.random.default_rng(0))))
    query = f"grid:{tmp_path / 'g.npy'}"
    assert main(["similarity", query, "--with", "text:snow", "--bound", str(bound), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert abs(document["cosine"][0][0]) < 1 and document["space"] == "concept-1"


def test_a_bound_sense_is_a_query_for_the_detector(bound, tmp_path, capsys):
    image = picture(np.random.default_rng(0))
    np.save(tmp_path / "g.npy", view(image))
    Image.fromarray(image).save(tmp_path / "i.png")
    query = f"grid:{tmp_path / 'g.npy'}"
    arguments = [
        "detect",
        "--image",
        str(tmp_path / "i.png"),
        "--query",
        query,
        "--bound",
        str(bound),
        "--json",
    ]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["queries"][0]["modality"] == "grid"


def test_other_spaces_are_refused(bound, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    card = yaml.safe_load((bound / "card.yaml").read_text())
    card["space"]["id"] = "imagebind_huge"
    (foreign / "card.yaml").write_text(yaml.safe_dump(card))
    (foreign / "tower.safetensors").write_bytes((bound / "tower.safetensors").read_bytes())
    with pytest.raises(SpaceMismatchError, match="bound to space 'imagebind_huge'"):
        load_encoder("concept", modalities=["grid"], bound=[foreign])


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("tower.safetensors", lambda b: b[:-8], "sha256"),
        ("card.yaml", lambda b: b"!!python/object/apply:os.system ['true']", "damaged"),
        ("card.yaml", lambda b: b.replace(b"modality: grid", b"modality: [1]"), "entry modality"),
        ("card.yaml", lambda b: b.replace(b"modality: grid", b"modality: ../x"), "name of a modality"),
        ("card.yaml", lambda b: b.replace(b"bound/1", b"bound/9"), "not the card"),
        ("card.yaml", lambda b: b.replace(b"name: conv1d", b"name: conv9d"), "unknown tower 'conv9d'"),
        ("card.yaml", lambda b: b.replace(b"- 48", b"- 56"), "does not fit"),
        ("card.yaml", lambda b: b.replace(b"- 48", b"- 99999999999999"), "does not fit"),
        ("card.yaml", lambda b: b.replace(b"- 48", b"- -4"), "above 0"),
        ("card.yaml", lambda b: b.replace(b"dim: 384", b"dim: many"), "entry space"),
        ("card.yaml", lambda b: b"\xff\xfe" + b, "damaged"),
    ],
)
def test_a_damaged_checkpoint_is_one_clear_error(bound, tmp_path, file, damage, says):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in bound.iterdir():
        content = path.read_bytes()
        (copy / path.name).write_bytes(damage(content) if path.name == file else content)
    with pytest.raises((ModelFileError, InvalidInputError), match=says):
        load_encoder("concept", modalities=["grid"], bound=[copy])


def test_resuming_equals_no_interruption_to_the_bit(data, tmp_path, capsys):
    recipe = write_recipe(tmp_path / "recipe.yaml")
    assert bind(recipe, data, tmp_path / "whole") == 0
    assert bind(recipe, data, tmp_path / "parts", "--until", "1", "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["steps"], report["of_steps"], report["bound"]) == (1, 4, None)
    assert bind(recipe, data, tmp_path / "parts", "--until", "3", "--resume") == 0
    assert bind(recipe, data, tmp_path / "parts", "--resume") == 0
    whole, parts = (tmp_path / name / "bound" / "tower.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


def test_two_processes_of_torchrun_equal_one(data, tmp_path):
    recipe = write_recipe(tmp_path / "recipe.yaml", augmentations=[])
    assert bind(recipe, data, tmp_path / "one") == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "imagebind_node.cli.main", "bind", recipe, "--data", data, "--out", tmp_path / "two"]
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "bound" / "tower.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        np.testing.assert_allclose(value.numpy(), two[name].numpy(), atol=1e-4)


def test_anchors_are_made_once(data, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path / "recipe.yaml")
    assert bind(recipe, data, tmp_path / "first") == 0
    with monkeypatch.context() as patch:
        patch.setattr(anchors.AnchorTower, "embed", lambda self, samples: pytest.fail("embedded again"))
        assert bind(recipe, data, tmp_path / "second") == 0
    for path in (tmp_path / "cache" / "imagebind_node" / "anchors").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert bind(recipe, data, tmp_path / "third") == 0
    files = [tmp_path / name / "bound" / "tower.safetensors" for name in ("first", "second", "third")]
    assert len({path.read_bytes() for path in files}) == 1


def test_without_tensorboard_it_says_so_and_trains(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert bind(write_recipe(tmp_path / "recipe.yaml"), data, tmp_path / "out") == 0
    assert "imagebind_node[tensorboard]" in capsys.readouterr().err
    assert (tmp_path / "out" / "history.jsonl").is_file()


def test_unusable_pairs_are_left_out_and_counted(tmp_path, capsys):
    rng = np.random.default_rng(1)
    pairs = []
    for number in range(8):
        image = picture(rng)
        sense = view(image)
        if number == 2:
            image = np.zeros_like(image)
        if number == 5:
            sense[0, 0] = np.nan
        pairs.append(("train", Pair(f"{number}", image, sense, {"session": str(number)})))
    data = write_shards(tmp_path / "data", pairs)
    recipe = write_recipe(tmp_path / "recipe.yaml", training={"batch": 4, "epochs": 1})
    assert bind(recipe, data, tmp_path / "out", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairs"] == {"train": 6} and report["test"] is None
    assert sorted(report["left_out"]["train"].values()) == [1, 1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"modality": "Grid!"}, "name of a modality"),
        ({"tower": {"name": "conv9d"}}, "unknown tower"),
        ({"tower": {"name": "conv1d", "chanels": 3}}, "chanels"),
        ({"tower": {"name": "conv1d", "channels": 7}}, "tower input must be"),
        ({"preprocessing": "nothing"}, "unknown preprocessing"),
        ({"preprocessing": {"name": "grey", "sides": 3}}, "sides"),
        ({"preprocessing": "grey"}, "no usable pair in split train"),
        ({"anchor": {"model": "conceptual"}}, "unknown model"),
        ({"anchor": {"modality": "text"}}, "no words"),
        ({"anchor": {"modality": "smell"}}, "unknown modality"),
        ({"colour": 1}, "unknown entries colour"),
        ({"training": {"batch": 1}}, "batch"),
        ({"augmentations": [{"name": "nois"}]}, "unknown augmentation"),
    ],
)
def test_a_bad_recipe_is_one_line_and_status_2(data, tmp_path, capsys, changes, says):
    assert bind(write_recipe(tmp_path / "recipe.yaml", **changes), data, tmp_path / "out") == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("imagebind-node: error: ")]
    assert len(lines) == 1 and says in lines[0], captured.err
    assert captured.out == ""


def test_bad_places_are_one_line_and_status_2(data, tmp_path, capsys):
    recipe = write_recipe(tmp_path / "recipe.yaml")

    def said(*arguments):
        assert bind(*arguments) == 2
        return capsys.readouterr().err

    assert "no recipe" in said("no_such_recipe", data, tmp_path / "out")
    assert "no finished pairs" in said(recipe, tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "file").write_text("")
    assert "cannot write" in said(recipe, data, tmp_path / "file" / "out")
    assert bind(recipe, data, tmp_path / "out", "--until", "1") == 0
    capsys.readouterr()
    assert "--resume" in said(recipe, data, tmp_path / "out")
    other = write_recipe(tmp_path / "other.yaml", training={"batch": 16, "epochs": 3})
    assert "another recipe" in said(other, data, tmp_path / "out", "--resume")
    rows = [
        ("train", Pair(f"{i}", picture(np.random.default_rng(i)), np.ones((3, 36)), {})) for i in range(20)
    ]
    assert "another data" in said(recipe, write_shards(tmp_path / "more", rows), tmp_path / "out", "--resume")
    index = json.loads((data / "index.json").read_text())
    for entry in index["shards"]:
        entry["pairs"] -= 1
    (tmp_path / "less").mkdir()
    for path in data.glob("*.tar"):
        (tmp_path / "less" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "less" / "index.json").write_text(json.dumps(index))
    assert "the index says" in said(recipe, tmp_path / "less", tmp_path / "new")
    shard = next(data.glob("train-*.tar"))
    shard.write_bytes(shard.read_bytes()[:-1000] + b"x" * 1000)
    assert "SHA-256" in said(recipe, data, tmp_path / "new")
    with pytest.raises(SystemExit) as left:
        main(["embed", "text:a", "--bound", str(tmp_path)])
    assert left.value.code == 2 and "holds no bound tower" in capsys.readouterr().err
