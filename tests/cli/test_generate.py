"""`imagebind-node generate` with imagebind_huge: the small golden ImageBind and a tiny Stable unCLIP."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("diffusers", reason="the extra `generate` is not installed")

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "generation"))

from tiny_unclip import DATA, write_pipeline  # noqa: E402

WEIGHTS = ["--checkpoint", DATA / "reference_small.safetensors", "--config", DATA / "reference_small.json"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    unclip = write_pipeline(tmp_path_factory.mktemp("unclip"))
    return ["--model", "imagebind_huge", *WEIGHTS, "--unclip", unclip, "--steps", 2]


def test_pictures_of_a_sum_are_written_with_their_seeds(cli, model, dog_photo, bark, tmp_path):
    query = f"image:{dog_photo} + 0.5 * audio:{bark}"
    outcome = cli("generate", query, *model, "--out", tmp_path / "a", "--count", 2, "--seed", 5, "--json")
    assert outcome.status == 0, outcome.err
    document = outcome.document
    assert document["schema"] == "imagebind_node.generate/1"
    assert (document["generator"], document["query"], document["strip"]) == ("stable_unclip", query, None)
    assert [p["seed"] for p in document["pictures"]] == [5, 6]
    assert not any(p["withheld"] for p in document["pictures"])
    files = [Path(p["file"]) for p in document["pictures"]]
    with Image.open(files[1]) as picture:
        assert picture.size == (16, 16)
        assert picture.text["Seed"] == "6" and picture.text["Source"] == f"generated from {query}"
        again = np.asarray(picture)
    assert cli("generate", query, *model, "--out", tmp_path / "b", "--seed", 6).status == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b" / "00.png")), again)


def test_a_strip_goes_from_one_query_to_another(cli, model, tmp_path):
    outcome = cli(
        *("generate", "text:a crane", "--interpolate", "text:waves", *model, "--out", tmp_path, "--count", 3)
    )
    assert outcome.status == 0, outcome.err
    assert outcome.out.strip().splitlines()[-1] == str(tmp_path / "strip.png")
    assert Image.open(tmp_path / "strip.png").size == (3 * 16 + 2 * 4, 16)
    assert {p.name for p in tmp_path.iterdir()} == {"00.png", "01.png", "02.png", "strip.png"}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["text:dog", "--count", "0"], "ask for 1 to 64"),
        (["text:dog", "--interpolate", "text:cat", "--count", "1"], "at least 2"),
        (["text:dog", "--judge", "1"], "has no option judge"),
        (["text:dog", "--noise-level", "5000"], "outside 0 to 999"),
        (["nowhere.wav"], "nowhere.wav"),
    ],
)
def test_bad_arguments_are_refused(refused, model, tmp_path, arguments, what):
    assert what in refused("generate", *arguments, *model, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_and_missing_weights_are_refused(refused, model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    assert "is no folder" in refused("generate", "text:dog", *model, "--out", tmp_path / "file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    line = refused("generate", "text:dog", "--model", "imagebind_huge", *WEIGHTS, "--out", tmp_path / "out")
    assert "models pull stable_unclip" in line
