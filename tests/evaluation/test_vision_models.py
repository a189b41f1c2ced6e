"""`evaluate vision-model`: what is measured on made features, and every kind of encoder that can be named."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imagebind_node.cli.main import main
from imagebind_node.errors import InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.evaluation.plots import plot_vision_models
from imagebind_node.evaluation.vision_models import heads
from imagebind_node.evaluation.vision_models.image_encoders import load_image_encoder
from imagebind_node.evaluation.vision_models.judgement import (
    RANKS,
    _count,
    _Task,
    emergent_tasks,
    judge_features,
)
from imagebind_node.evaluation.vision_models.paired_senses import PairedSenses
from imagebind_node.samples import Modality

DEMO = Path(__file__).resolve().parents[2] / "demo"
RNG = np.random.default_rng(5)
PICTURES = [RNG.integers(0, 256, (40, 60, 3), np.uint8), RNG.integers(0, 256, (64, 30, 3), np.uint8)]


def made(count: int = 96) -> tuple[np.ndarray, PairedSenses]:
    """Things with hidden qualities: the picture shows all of them, sound and words each a noisy mixture."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(count, 10)).astype(np.float32)

    def mixed(width: int) -> np.ndarray:
        return hidden @ rng.normal(size=(10, width)).astype(np.float32) + 0.2 * rng.normal(
            size=(count, width)
        ).astype(np.float32)

    names = np.array([f"thing {i}" for i in range(count)])
    return mixed(24), PairedSenses((), names, {Modality.AUDIO: mixed(30), Modality.TEXT: mixed(20)})


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch):
    """Made features are learnt sooner than real ones; the command itself takes 200 passes at a third of this rate."""
    monkeypatch.setattr(heads, "TRAINING", replace(heads.TRAINING, epochs=60, learning_rate=1e-2))


def test_an_encoder_that_shows_things_binds_what_never_met_and_noise_does_not():
    features, data = made()
    seen = judge_features(features, data, folds_count=2, repeats=1)
    assert set(emergent_tasks(seen)) == {"audio_to_classes", "text_to_audio"}
    assert set(seen["tasks"]) >= {"audio_to_vision", "vision_to_audio", "vision_to_classes", "text_to_vision"}
    noise = judge_features(RNG.normal(size=features.shape).astype(np.float32), data, folds_count=2, repeats=1)
    for task, found in seen["tasks"].items():
        chance = found["recall_at_1"]["chance"]
        assert chance == pytest.approx(1 / 48)
        assert found["recall_at_1"]["ci95"][0] > 5 * chance, task
        assert found["percentile"]["value"] > 0.9, task
    for task, found in noise["tasks"].items():
        low, high = found["percentile"]["ci95"]
        assert low < 0.5 < high, task


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """Ten entries as pairs.json: pieces of a demo picture, its sounds in turn, names that differ."""
    folder = tmp_path_factory.mktemp("pairs")
    sounds = sorted(DEMO.glob("*.flac"))
    entries = []
    with Image.open(DEMO / "meadow.jpg") as meadow:
        for i in range(10):
            meadow.crop((80 * i, 60 * i, 80 * i + 200, 60 * i + 150)).save(folder / f"{i}.png")
            sound = str(sounds[i % len(sounds)])
            entries.append({"text": f"thing {i}", "image": f"{i}.png", "sound": sound})
    (folder / "pairs.json").write_text(json.dumps(entries))
    return folder


def test_command(listed, capsys, tmp_path):
    words = ["evaluate", "vision-model", "concept", "concept", "--data", str(listed), "--folds", "2"]
    assert main([*words, "--repeats", "1", "--json", "--plot", str(tmp_path / "plot.svg")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "imagebind_node.evaluate_vision_model/1"
    assert (document["n"], document["names"], list(document["models"])) == (10, 10, ["concept"])
    assert "concept" in (tmp_path / "plot.svg").read_text()
    found = document["models"]["concept"]["tasks"]["audio_to_classes"]
    assert found["emergent"]
    assert found["recall_at_1"]["chance"] == pytest.approx(0.2)
    assert main([*words, "--repeats", "1"]) == 0
    table = capsys.readouterr().out
    assert "audio to classes *" in table


@pytest.mark.parametrize(
    ("options", "change", "says"),
    [
        (["--folds", "1"], {}, "at least 2"),
        (["--folds", "6"], {}, "too few for 6 folds"),
        (["--folds", "2"], {"sound": None}, "entry needs `sound`"),
        (["--folds", "2"], {"image": "nothing.png"}, "nothing.png"),
        (["--folds", "2", "--plot", "plot.txt"], {}, "a plot ends in"),
    ],
)
def test_command_refuses(listed, capsys, tmp_path, options, change, says):
    entries = json.loads((listed / "pairs.json").read_text())
    for entry in entries:
        entry["image"] = str(listed / entry["image"])
    entries[3] |= change
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(entries))
    assert main(["evaluate", "vision-model", "concept", "--data", str(path), *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.strip().splitlines()) == 1
    assert says in said.err


def test_no_name_is_on_both_sides(monkeypatch):
    features, data = made(24)
    data.names[1::2] = data.names[::2]  # every thing twice
    held: list[set] = []

    def spy(inputs, anchors, names, train, **_):
        held.append(set(names[~train]) & set(names[train]))
        return np.asarray(anchors)

    monkeypatch.setattr("imagebind_node.evaluation.vision_models.judgement.fit_head", spy)
    found = judge_features(features, data, folds_count=3, repeats=2)["tasks"]["audio_to_vision"]
    assert held
    assert not any(held)
    # The same thing twice: either picture is right.
    assert found["recall_at_1"]["value"] == 1.0
    assert found["recall_at_1"]["chance"] == pytest.approx(2 / 8)


def test_counting_is_what_a_reader_would_count():
    similarity = np.array([[0.9, 0.5, 0.1], [0.2, 0.2, 0.2], [0.0, 0.7, 0.6]])
    right = np.array([[True, False, False], [False, True, False], [False, False, True]])
    task = _Task()
    _count(task, similarity, right, np.arange(3))
    # In the second row all are equal: that is no find.
    assert task.hits[1][0].tolist() == [True, False, False]
    assert task.percentile[0].tolist() == [1.0, 0.0, 0.5]
    assert task.chance[1][0] == pytest.approx(np.full(3, 1 / 3))
    assert set(task.hits) == set(RANKS)


def test_callable(tmp_path, monkeypatch):
    (tmp_path / "my_encoder.py").write_text(
        "import torch\n"
        "def means(pictures):\n    return [p.mean((0, 1)) for p in pictures]\n"
        "def tensor(pictures):\n    return torch.stack([torch.tensor(p.mean((0, 1))) for p in pictures])\n"
        "def one(pictures):\n    return [1.0] * len(pictures)\n"
        "def nan(pictures):\n    return [[float('nan')]] * len(pictures)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    expected = np.stack([p.mean((0, 1)) for p in PICTURES])
    for name in ("means", "tensor"):
        found = load_image_encoder(f"my_encoder:{name}").features(iter(PICTURES * 20))
        assert found.dtype == np.float32
        assert np.allclose(found, np.tile(expected, (20, 1)), atol=1e-3)
    with pytest.raises(InvalidInputError, match="one row of numbers"):
        load_image_encoder("my_encoder:one").features(PICTURES)
    with pytest.raises(InvalidInputError, match="NaN"):
        load_image_encoder("my_encoder:nan").features(PICTURES)


def test_own_models():
    found = load_image_encoder("concept").features(PICTURES)
    assert found.shape == (2, 384)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_transformers_from_a_local_folder(tmp_path):
    from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(1)
    ViTModel(ViTConfig(**small, image_size=32, patch_size=16)).save_pretrained(tmp_path / "vit")
    towers = {"vision_config": {**small, "image_size": 32, "patch_size": 16}, "text_config": small}
    CLIPModel(CLIPConfig(**towers, projection_dim=16)).save_pretrained(tmp_path / "clip")
    sizes = {"size": {"height": 32, "width": 32}, "crop_size": {"height": 32, "width": 32}}
    for folder, kind in (("vit", "ViTImageProcessor"), ("clip", "CLIPImageProcessor")):
        settings = {"image_processor_type": kind, **sizes}
        (tmp_path / folder / "preprocessor_config.json").write_text(json.dumps(settings))
    trained = load_image_encoder(f"transformers:{tmp_path}/vit").features(PICTURES)
    assert trained.shape == (2, 32)
    assert not np.allclose(trained[0], trained[1])
    assert load_image_encoder(f"transformers:{tmp_path}/clip").features(PICTURES).shape == (2, 16)
    random = load_image_encoder(f"transformers:{tmp_path}/vit@random").features(PICTURES)
    assert not np.allclose(random, trained)
    assert np.allclose(random, load_image_encoder(f"transformers:{tmp_path}/vit@random").features(PICTURES))
    (tmp_path / "vit" / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelFileError, match="vit cannot be loaded"):
        load_image_encoder(f"transformers:{tmp_path}/vit")


@pytest.mark.skipif(find_spec("timm") is None, reason="timm brings torchvision, which the tests do without")
def test_timm():
    trained = load_image_encoder("timm:resnet10t@random")
    found = trained.features(PICTURES)
    assert found.shape == (2, 512)
    assert not np.allclose(found[0], found[1])
    assert np.allclose(found, load_image_encoder("timm:resnet10t@random").features(PICTURES))
    with pytest.raises(InvalidInputError, match="resnet"):
        load_image_encoder("timm:resnet10tt@random")


def test_torch_hub_folder(tmp_path):
    (tmp_path / "hubconf.py").write_text(
        "from torch import nn\n"
        "def maps():\n    return nn.Conv2d(3, 5, 16, 16)\n"
        "def number():\n    return 3\n"
        "def broken():\n    raise OSError('no weights')\n"
    )
    assert load_image_encoder(f"hub:{tmp_path}:maps").features(PICTURES).shape == (2, 5)
    with pytest.raises(InvalidInputError, match="int, not a network"):
        load_image_encoder(f"hub:{tmp_path}:number")
    with pytest.raises(ModelFileError, match="no weights"):
        load_image_encoder(f"hub:{tmp_path}:broken")
    with pytest.raises(InvalidInputError, match="hubconf.py"):
        load_image_encoder(f"hub:{tmp_path / 'nowhere'}:maps")


@pytest.mark.parametrize("name", ["nothing", "no_module:function", "os:nothing"])
def test_unknown_names_say_what_there_is(name):
    with pytest.raises(InvalidInputError, match="timm:NAME"):
        load_image_encoder(name)


@pytest.mark.parametrize(("name", "package"), [("timm:resnet18", "timm"), ("transformers:x", "transformers")])
def test_missing_packages_say_what_to_install(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        load_image_encoder(name)


def test_a_plot_that_cannot_be_written(tmp_path):
    features, data = made(12)
    report = {"made": judge_features(features, data, folds_count=2, repeats=1)}
    plot_vision_models(report, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInputError, match=".png"):
        plot_vision_models(report, tmp_path / "plot.txt")
    with pytest.raises(InvalidInputError, match="cannot write"):
        plot_vision_models(report, tmp_path / "missing" / "plot.png")
