"""Weights of another shape, on tensors that are already preprocessed, against what the original returned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[1] / "data" / "imagebind"
WEIGHTS = ["--checkpoint", DATA / "reference_small.safetensors", "--config", DATA / "reference_small.json"]
INPUTS = DATA / "reference_small_inputs.npz"


@pytest.fixture(scope="module")
def expected():
    with np.load(DATA / "reference_small_outputs.npz") as outputs:
        return dict(outputs)


def test_scaled_outputs_equal_the_original(cli, tmp_path, expected):
    out = tmp_path / "out.npz"
    assert cli("embed", *WEIGHTS, "--npz", INPUTS, "--scaled", "--out", out).status == 0
    with np.load(out) as found:
        assert set(found) == set(expected)
        for name, rows in expected.items():
            assert np.abs(found[name] - rows).max() <= 1e-4, name


def test_embeddings_are_the_same_normalised(cli, expected):
    document = cli("embed", *WEIGHTS, "--npz", INPUTS, "--json").document
    assert document["schema"] == "imagebind_node.embed_tensors/1"
    for batch in document["batches"]:
        rows = expected[batch["input"]]
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert np.abs(np.array(batch["vectors"]) - unit).max() <= 1e-4, batch["input"]


def test_their_space_is_their_own(cli, refused, tmp_path):
    saved = tmp_path / "small.json"
    document = cli("embed", *WEIGHTS, "text:dog", "--json")
    saved.write_text(document.out)
    space = document.document["embeddings"][0]["space"]
    assert space not in ("concept-1", "imagebind_huge")
    assert repr(space) in refused("similarity", f"embedding:{saved}", "--with", "text:dog")


def test_concept_has_no_scaled_outputs(refused, tmp_path):
    path = tmp_path / "inputs.npz"
    np.savez(path, vision=np.zeros((1, 224, 224, 3), np.uint8))
    assert "--scaled" in refused("embed", "--npz", path, "--scaled")
    assert "--npz" in refused("embed", "text:dog", "--scaled")
