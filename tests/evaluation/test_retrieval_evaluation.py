from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation import evaluate_retrieval
from imagebind_node.evaluation.kinds import read_kinds
from imagebind_node.evaluation.statistics import (
    average_precision,
    bootstrap,
    chance_average_precision,
    chance_recall,
    proportion,
    wilson,
)

DEMO = Path(__file__).parents[2] / "demo"
NAMES = ("dog", "sheep", "duck", "cow")


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept", modalities=["audio", "text"])


@pytest.fixture
def pairs(tmp_path):
    entries = [{"name": n, "text": n, "image": f"{n}.png", "sound": f"{n}.flac"} for n in NAMES]
    for name in NAMES:
        shutil.copy(DEMO / f"{name}.flac", tmp_path)
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(entries))
    return path, entries


def test_recall_chance_and_interval(encoder, pairs):
    report = evaluate_retrieval(encoder, pairs[0])
    assert report["n"] == 4 and set(report["directions"]) == {"audio_to_text", "text_to_audio"}
    first = report["directions"]["audio_to_text"]["recall_at_1"]
    assert first["value"] == 1.0 and first["chance"] == pytest.approx(0.25) and first["n"] == 4
    assert first["ci95"][0] < first["value"] <= first["ci95"][1]
    assert report["directions"]["audio_to_text"]["recall_at_5"]["chance"] == 1.0
    assert report["directions"]["audio_to_text"]["median_rank"] == 1
    precision = report["directions"]["audio_to_text"]["mean_average_precision"]
    assert precision["value"] == 1.0 and precision["ci95"] == [1.0, 1.0]
    assert precision["chance"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert report["abstained"]["audio"] == 0 and report["encode_ms"]["audio"] > 0
    json.dumps(report)


def test_wrong_labels_are_not_found(encoder, pairs):
    path, entries = pairs
    for entry, wrong in zip(entries, NAMES[1:] + NAMES[:1]):
        entry["text"] = wrong
    path.write_text(json.dumps(entries))
    assert evaluate_retrieval(encoder, path)["directions"]["audio_to_text"]["recall_at_1"]["value"] == 0.0


def test_the_same_sound_counts_for_both_texts_and_kinds_are_apart(encoder, pairs):
    path, entries = pairs
    shutil.copy(path.parent / "dog.flac", path.parent / "sheep.flac")
    for entry in entries:
        entry["kind"] = "animal"
    path.write_text(json.dumps(entries))
    result = evaluate_retrieval(encoder, path)["directions"]["audio_to_text"]
    assert result["recall_at_1"]["chance"] == pytest.approx((0.5 + 0.5 + 0.25 + 0.25) / 4)
    assert result["same_kind"]["recall_at_1"]["value"] == 1.0


def test_kinds_come_beside_the_words(encoder, pairs):
    path, _ = pairs
    # Every sound finds its own words, so one wrong kind alone would not show: all but the dog are one kind.
    kinds = {"sheep": "farm animal", "duck": "farm animal", "cow": "farm animal"}
    plain, report = evaluate_retrieval(encoder, path), evaluate_retrieval(encoder, path, kinds=kinds)
    assert plain["kinds"] is None and report["kinds"] == 2
    result = report["directions"]["audio_to_text"]
    by_kind = result.pop("same_kind")
    assert result == plain["directions"]["audio_to_text"]
    assert by_kind["recall_at_1"]["chance"] == pytest.approx((1 / 4 + 3 * 3 / 4) / 4)
    assert by_kind["recall_at_1"]["value"] == 1.0


def test_a_wrong_word_of_the_right_kind_counts_by_kind_only(encoder, pairs):
    path, entries = pairs
    for entry, wrong in zip(entries, NAMES[1:] + NAMES[:1]):
        entry["text"] = wrong
    path.write_text(json.dumps(entries))
    # The dog's sound stands beside the text "sheep" and so on: only sheep and duck share a kind.
    report = evaluate_retrieval(encoder, path, kinds={"sheep": "grazer", "duck": "grazer"})
    result = report["directions"]["audio_to_text"]
    assert result["recall_at_1"]["value"] == 0.0
    assert result["same_kind"]["recall_at_1"]["value"] == 0.25


def test_kinds_of_other_data_are_refused(encoder, pairs):
    with pytest.raises(InvalidInputError, match=r"not one of the 1 labels.*'dog'"):
        evaluate_retrieval(encoder, pairs[0], kinds={"ram": "sheep"})


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"),
        (b"# nothing", "mapping"),
        (b"- ram", "mapping"),
        (b"ram: [sheep]", "'ram'"),
        (b"ram:", "'ram'"),
        (b"no: sheep", "False"),
        (b"ram: 'sheep", "not a readable list of kinds"),
        (b"\xff\xfe\x00", "not a readable list of kinds"),
        (b"ram: 2026-13-45", "not a readable list of kinds"),
    ],
)
def test_kinds_that_are_none(tmp_path, content, word):
    path = tmp_path / "kinds.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=word) as caught:
        read_kinds(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InvalidInputError, match="no such file"):
        read_kinds(tmp_path / "none.yaml")


def test_the_shipped_kinds_are_well_formed():
    kinds = read_kinds(DEMO.parent / "benchmarks" / "tuxpaint_kinds.yaml")
    assert len(kinds) == 22 and kinds["ram"] == kinds["baby sheep"] == "sheep"
    # One step: a kind is not a label of another kind.
    assert not set(kinds.values()) & set(kinds)


def test_unreadable_entries_are_named(encoder, pairs):
    path, entries = pairs
    (path.parent / "duck.flac").write_bytes(b"no sound")
    with pytest.raises(InvalidInputError, match=r"entry 2.*duck\.flac"):
        evaluate_retrieval(encoder, path)
    del entries[1]["sound"]
    path.write_text(json.dumps(entries))
    with pytest.raises(InvalidInputError, match="entry 1: needs 'sound'"):
        evaluate_retrieval(encoder, path)


@pytest.mark.parametrize(
    ("content", "word"),
    [("", "is empty"), ("{", "not a readable list"), ("[]", "at least one"), ("{}", "list")],
)
def test_lists_that_are_none(encoder, tmp_path, content, word):
    path = tmp_path / "pairs.json"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=word):
        evaluate_retrieval(encoder, path)
    with pytest.raises(InvalidInputError, match="no such file"):
        evaluate_retrieval(encoder, tmp_path / "none.json")


def test_wilson_is_the_published_interval():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert proportion(np.zeros(0, bool))["ci95"] == [0.0, 1.0]


def test_chance_of_recall():
    assert chance_recall(np.array([1, 2]), 4, 2) == pytest.approx((2 / 4 + 5 / 6) / 2)
    assert chance_recall(np.array([1]), 3, 10) == 1.0


def test_chance_of_average_precision():
    rng = np.random.default_rng(0)
    right = np.arange(7) < np.array([1, 3])[:, None]
    found = []
    for _ in range(4000):
        hits = rng.permuted(right, axis=1)
        precision = np.cumsum(hits, 1) / np.arange(1, 8)
        found.append(((precision * hits).sum(1) / hits.sum(1)).mean())
    assert chance_average_precision(np.array([1, 3]), 7) == pytest.approx(np.mean(found), abs=0.01)
    assert chance_average_precision(np.array([5]), 5) == 1.0


def test_average_precision():
    scores, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(scores, correct, 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, correct, 4) == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(scores[:0], correct[:0], 4) == 0.0


def test_bootstrap_holds_the_mean():
    values = np.random.default_rng(0).random(100)
    low, high = bootstrap(lambda i: float(values[i].mean()), 100)
    assert low < values.mean() < high and high - low < 0.2
