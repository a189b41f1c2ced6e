"""The small reference model, whose weights and outputs come from the original's code, and its inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from imagebind_reference import CHECKPOINT, DATA

from imagebind_node.encoders.imagebind.encoder import load_imagebind


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imagebind_node"


@pytest.fixture(scope="session")
def inputs():
    with np.load(DATA / "reference_small_inputs.npz") as file:
        tensors = {name: torch.from_numpy(file[name]) for name in file.files}
    return {name: t if name == "text" else t.float() for name, t in tensors.items()}


@pytest.fixture(scope="session")
def outputs():
    with np.load(DATA / "reference_small_outputs.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def encoder():
    return load_imagebind(CHECKPOINT, text_cache=False)
