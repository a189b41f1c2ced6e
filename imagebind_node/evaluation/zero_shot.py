"""Zero-shot recognition on labelled datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.evaluation.datasets.base import LabelledDataset
from imagebind_node.evaluation.paper import REPORTED
from imagebind_node.evaluation.statistics import average_precision, bootstrap, proportion
from imagebind_node.recognition.calibration import expected_calibration_error
from imagebind_node.recognition.class_set import from_labels
from imagebind_node.recognition.zero_shot import ZeroShotClassifier, text_encoder


def evaluate_zero_shot(
    encoder: Encoder,
    dataset: LabelledDataset,
    *,
    limit: int | None = None,
    progress: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Recognise every item among the dataset's classes by their names, put into the modality's prompts.

    limit: only so many items, evenly spread. An item counts as right if the best class is one of its labels; one that
    abstained without a vector counts as wrong. Chance is the accuracy of a fair die. Returns {"dataset", "n",
    "classes", "top_1", "top_5" (each {"value", "ci95", "n", "chance"}), "mean_average_precision" (over classes with
    items; chance: their share), "calibration_error", "abstained", "unreadable": [{"input", "reason"}], "paper"}.
    Raises InvalidInputError if no item can be read.
    """
    encoder.require(dataset.modality)
    items = dataset.items
    if limit is not None and limit < len(items):
        items = tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))
    classifier = ZeroShotClassifier(from_labels(list(dataset.classes)), encoder.space, text_encoder(encoder))
    rows: list[np.ndarray] = []
    truth: list[np.ndarray] = []
    abstained, unreadable = 0, []
    for item in items:
        try:
            embedding: Embedding = encoder.encode(dataset.modality, [item.load()])[0]
        except ImagebindNodeError as error:
            unreadable.append({"input": item.name, "reason": " ".join(str(error).split())})
            continue
        finally:
            if progress is not None:
                progress()
        abstained += embedding.abstained
        rows.append(
            classifier.cosines([embedding])[0]
            if embedding.vector.size
            else np.full(len(dataset.classes), np.nan)
        )
        truth.append(np.isin(dataset.classes, item.labels))
    if not rows:
        raise InvalidInputError(f"no item of {dataset.name!r} can be read: {unreadable[0]['reason']}")
    return {
        "dataset": dataset.name,
        "n": len(rows),
        "classes": len(dataset.classes),
        **_metrics(np.stack(rows), np.stack(truth), classifier),
        "abstained": abstained / len(rows),
        "unreadable": unreadable,
        "paper": REPORTED.get(dataset.name),
    }


def _metrics(cosines: np.ndarray, truth: np.ndarray, classifier: ZeroShotClassifier) -> dict[str, Any]:
    silent = np.isnan(cosines).any(1)
    ranked = np.argsort(-np.where(silent[:, None], -1.0, cosines), axis=1, kind="stable")
    hits = np.take_along_axis(truth, ranked, 1)
    hits[silent] = False
    metrics: dict[str, Any] = {}
    for k in (1, 5):
        if k == 1 or k < truth.shape[1]:
            metrics[f"top_{k}"] = proportion(np.asarray(hits[:, :k].any(1))) | {"chance": _chance(truth, k)}
    metrics["mean_average_precision"] = _mean_average_precision(
        np.where(silent[:, None], -1.0, cosines), truth
    )
    single = ~silent & (truth.sum(1) == 1)
    if single.any():
        shares = classifier.probabilities(cosines[single])
        metrics["calibration_error"] = expected_calibration_error(shares, truth[single].argmax(1))
    return metrics


def _chance(truth: np.ndarray, k: int) -> float:
    """Share of items that k different classes drawn at random hit."""
    from imagebind_node.evaluation.statistics import chance_recall

    return chance_recall(truth.sum(1), truth.shape[1], k)


def _mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    present = np.flatnonzero(truth.any(0))

    def value(index: np.ndarray) -> float:
        found = [
            average_precision(scores[index, c], truth[index, c], int(truth[index, c].sum()))
            for c in present
            if truth[index, c].any()
        ]
        return float(np.mean(found)) if found else 0.0

    everything = np.arange(len(scores))
    low, high = bootstrap(value, len(scores), rounds=200)
    return {
        "value": value(everything),
        "ci95": [low, high],
        "n": len(present),
        "chance": float(truth[:, present].mean()),
    }
