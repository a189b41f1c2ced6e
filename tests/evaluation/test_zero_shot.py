"""Zero-shot evaluation with the real embedded model, and its figures on answers that are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_datasets import make_esc50

from imagebind_node.cli.main import main
from imagebind_node.embedding import Space
from imagebind_node.evaluation.zero_shot import _metrics
from imagebind_node.recognition import ZeroShotClassifier
from imagebind_node.recognition.class_set import from_labels


def test_command_prints_accuracy_with_interval_chance_and_the_paper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_esc50(tmp_path)
    (tmp_path / "audio" / "3-100032-A-46.wav").write_bytes(b"RIFF junk")
    assert main(["evaluate", "zero-shot", str(tmp_path), "--dataset", "esc50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 2
    assert found["top_1"]["value"] == 1.0
    assert found["top_1"]["chance"] == pytest.approx(1 / 3)
    assert 0 < found["top_1"]["ci95"][0] < 1
    assert [entry["input"] for entry in found["unreadable"]] == ["3-100032-A-46.wav"]
    assert found["paper"]["value"] == 66.9
    assert main(["evaluate", "zero-shot", str(tmp_path), "--dataset", "esc50"]) == 0
    assert "66.9" in capsys.readouterr().out
    assert main(["evaluate", "zero-shot", str(tmp_path), "--dataset", "imagenet"]) == 2


def test_figures_on_known_answers() -> None:
    classifier = ZeroShotClassifier(from_labels(["a", "b", "c"]), Space("s", 4), lambda texts: np.eye(4)[:0])
    cosines = np.array([[0.9, 0.1, 0.0], [0.2, 0.1, 0.0], [0.1, 0.0, 0.8], [np.nan] * 3])
    truth = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]], bool)
    found = _metrics(cosines, truth, classifier)
    assert found["top_1"]["value"] == 0.5
    assert found["top_1"]["chance"] == pytest.approx((1 + 1 + 2 + 1) / 4 / 3)
    # a: order 0 (right), 1 (wrong), 2 (right), 3 (right); b: 0 wrong, 1 right ... ; c: 2 right first.
    a = (1 + 3 / 4 + 3 / 4) / 3
    assert found["mean_average_precision"]["value"] == pytest.approx((a + 1 / 2 + 1) / 3)


def test_captions_find_their_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from test_datasets import write_csv, write_wav

    rows = []
    for animal, words in (("dog", "a dog is barking"), ("cow", "a cow moos")):
        write_wav(tmp_path / "evaluation" / f"{animal}.wav", animal)
        rows.append({"file_name": f"{animal}.wav", **{f"caption_{i}": words for i in range(1, 6)}})
    write_csv(tmp_path / "clotho_captions_evaluation.csv", rows)
    assert main(["evaluate", "retrieval", str(tmp_path), "--dataset", "clotho", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["clips"], found["captions"]) == (2, 10)
    assert found["recall_at_1"]["value"] == 1.0
    assert found["recall_at_1"]["chance"] == 0.5
    assert found["median_rank"] == 1
    assert found["paper"] is None, "no source confirms the paper's numbers for Clotho"


def test_what_the_paper_reports_of_audiocaps_stands_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_datasets import write_csv, write_wav

    write_wav(tmp_path / "audio" / "abc_30.wav", "dog")
    row = {"audiocap_id": 1, "youtube_id": "abc", "start_time": 30, "caption": "a dog is barking"}
    write_csv(tmp_path / "test.csv", [row])
    assert main(["evaluate", "retrieval", str(tmp_path), "--dataset", "audiocaps"]) == 0
    assert "AudioCaps (quoted second-hand): recall at 10 42.3" in capsys.readouterr().out
