from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file

from imagebind_node.encoders.concept import weights
from imagebind_node.errors import ModelFileError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder with one small file, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tmp_path / "models" / "tiny"
    model.mkdir(parents=True)
    save_file({"weight": np.ones((2, 3), np.float16)}, model / "net.safetensors")
    digest = hashlib.sha256((model / "net.safetensors").read_bytes()).hexdigest()
    card = {"space": {"id": "tiny", "dim": 3}, "files": {"net.safetensors": {"sha256": digest}}}
    (model / "card.yaml").write_text(yaml.safe_dump(card))
    return model


def test_the_shipped_files_are_the_cards():
    folder = weights.model_dir()
    card = weights.read_card(folder)
    for name, entry in card["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"], name
    assert sum((folder / name).stat().st_size for name in card["files"]) < 80e6


def test_tensors_come_as_float32(folder):
    tensors = weights.load_tensors(folder, "net.safetensors")
    assert tensors["weight"].dtype is torch.float32


def test_a_changed_byte_is_named_with_both_hashes(folder):
    path = folder / "net.safetensors"
    weights.verified(folder, "net.safetensors")
    content = bytearray(path.read_bytes())
    expected = hashlib.sha256(bytes(content)).hexdigest()
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        weights.verified(folder, "net.safetensors")
    message = str(caught.value)
    assert str(path) in message and expected in message
    assert hashlib.sha256(bytes(content)).hexdigest() in message
    assert "reinstall" in message and "\n" not in message


def test_a_truncated_file_is_refused(folder):
    path = folder / "net.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelFileError, match="damaged"):
        weights.load_tensors(folder, "net.safetensors")


def test_a_missing_file_is_named(folder):
    (folder / "net.safetensors").unlink()
    with pytest.raises(ModelFileError, match="net.safetensors is missing"):
        weights.verified(folder, "net.safetensors")


def test_a_file_is_hashed_once_until_it_changes(folder, monkeypatch):
    hashed = []
    whole = weights._sha256
    monkeypatch.setattr(weights, "_sha256", lambda path: hashed.append(path) or whole(path))
    for _ in range(3):
        weights.verified(folder, "net.safetensors")
    assert len(hashed) == 1
    os.utime(folder / "net.safetensors", ns=(1, 1))
    weights.verified(folder, "net.safetensors")
    assert len(hashed) == 2


@pytest.mark.parametrize("content", ["", "not json", "[1]"])
def test_a_spoilt_cache_is_no_obstacle(folder, content, tmp_path):
    path = tmp_path / "cache" / "imagebind_node" / "verified.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert weights.verified(folder, "net.safetensors").is_file()


def test_an_unwritable_cache_is_no_obstacle(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert weights.verified(folder, "net.safetensors").is_file()


def test_models_are_found_by_variable_prefix_and_ament(folder, monkeypatch, tmp_path):
    monkeypatch.setenv(weights.ENVIRONMENT, str(folder.parent))
    assert weights.model_dir("tiny") == folder
    monkeypatch.delenv(weights.ENVIRONMENT)
    with pytest.raises(ModelFileError, match="'tiny' not found"):
        weights.model_dir("tiny")
    share = tmp_path / "prefix" / "share" / "imagebind_node"
    share.mkdir(parents=True)
    (share / "models").symlink_to(folder.parent)
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(["/nowhere", str(tmp_path / "prefix")]))
    assert weights.model_dir("tiny") == share / "models" / "tiny"
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    monkeypatch.setattr(weights.sys, "prefix", str(tmp_path / "prefix"))
    assert weights.model_dir("tiny") == share / "models" / "tiny"


def test_the_variable_overrides_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv(weights.ENVIRONMENT, str(tmp_path))
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        weights.model_dir("concept")


def test_weights_of_another_network_are_refused(folder):
    with pytest.raises(ModelFileError, match="does not fit"):
        weights.load_network(lambda: torch.nn.Linear(5, 2), folder, "net.safetensors")
