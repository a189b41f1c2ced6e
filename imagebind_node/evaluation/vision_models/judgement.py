"""How far a frozen image encoder binds other senses together: cross-validated retrieval and recognition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from imagebind_node.binding.pairs import folds
from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.statistics import bootstrap, chance_recall
from imagebind_node.evaluation.vision_models.heads import fit_head, image_anchors
from imagebind_node.evaluation.vision_models.paired_senses import PairedSenses
from imagebind_node.samples import Modality

RANKS = (1, 5)


@dataclass
class _Task:
    """Per row, over all repeats: hits at each rank and how large a share of the wrong answers lies behind."""

    hits: dict[int, list[np.ndarray]] = field(default_factory=lambda: {k: [] for k in RANKS})
    chance: dict[int, list[np.ndarray]] = field(default_factory=lambda: {k: [] for k in RANKS})
    percentile: list[np.ndarray] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)


def judge_features(
    features: np.ndarray,
    data: PairedSenses,
    *,
    folds_count: int = 5,
    repeats: int = 3,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Bind every sense of `data` to image features (N, D), never to each other, and judge on names held out.

    Names are dealt into folds; heads learn on the others and are judged on one, `repeats` times dealt anew. What two
    senses share emergently is judged on heads of their own, each of which learnt from other things: from the same
    things two senses could meet at any code that tells these apart, whatever the encoder sees. Returns
    {"tasks": {"audio_to_vision": {"emergent", "recall_at_1": {"value", "ci95", "n", "chance"}, "recall_at_5",
    "percentile"}, ..., "audio_to_classes": ...}}. `emergent`: neither side is the picture, so the two were never
    trained on together. `..._to_classes`: recognition among the held-out names through the head for words.
    percentile: mean share of wrong answers that lie behind the right one, chance 0.5. Intervals resample names.
    Raises InvalidInputError if there are fewer names than folds or the features tell no two pictures apart.
    """
    count = len(np.unique(data.names))
    if count < 2 * folds_count or count - -(-count // folds_count) < 2 * len(data.senses):
        raise InvalidInputError(
            f"{count} different names are too few for {folds_count} folds: give more pairs"
        )
    tasks: dict[str, _Task] = {}
    for repeat in range(repeats):
        number = folds(data.names, folds_count, seed + repeat)
        for fold in range(folds_count):
            test = number == fold
            anchors = image_anchors(features, ~test)
            part = np.full(len(data.names), -1)
            part[~test] = folds(data.names[~test], len(data.senses), seed + repeat)
            bound, emergent = {Modality.VISION: anchors}, {}
            for place, (modality, inputs) in enumerate(data.senses.items()):
                fit = partial(fit_head, inputs, anchors, data.names, name=modality.value, seed=seed + repeat)
                bound[modality] = fit(train=~test)
                emergent[modality] = fit(train=part == place)
                progress()
            index = np.flatnonzero(test)
            for rows in (bound, emergent):
                _judge_fold({m: r[test] for m, r in rows.items()}, data.names[test], index, tasks)
    return {"tasks": {name: _summary(task, data.names, name) for name, task in tasks.items()}}


def _judge_fold(
    rows: dict[Modality, np.ndarray], names: np.ndarray, index: np.ndarray, tasks: dict[str, _Task]
) -> None:
    bound = Modality.VISION in rows
    right = names[:, None] == names[None]
    for query, answer in permutations(rows, 2):
        if Modality.TEXT in (query, answer) or bound != (Modality.VISION in (query, answer)):
            continue
        _count(tasks.setdefault(f"{query}_to_{answer}", _Task()), rows[query] @ rows[answer].T, right, index)
    # Words are the same for things of one name: they are classes, asked for once each.
    classes, first = np.unique(names, return_index=True)
    words = rows[Modality.TEXT][first]
    belongs = names[:, None] == classes[None]
    for query in rows:
        if query is Modality.TEXT or bound != (query is Modality.VISION):
            continue
        _count(tasks.setdefault(f"{query}_to_classes", _Task()), rows[query] @ words.T, belongs, index)
        _count(tasks.setdefault(f"text_to_{query}", _Task()), words @ rows[query].T, belongs.T, index[first])


def _count(task: _Task, similarity: np.ndarray, right: np.ndarray, index: np.ndarray) -> None:
    """similarity: (Q, A); right: bool (Q, A); index: row of each query in the whole data. Ties count against it."""
    best = np.where(right, similarity, -np.inf).max(1, keepdims=True)
    ahead = ((similarity >= best) & ~right).sum(1)
    wrong = (~right).sum(1)
    task.rows.append(index)
    task.percentile.append(1 - ahead / np.maximum(wrong, 1))
    for k in RANKS:
        task.hits[k].append(ahead < k)
        chance = [chance_recall(np.array([count]), right.shape[1], k) for count in right.sum(1)]
        task.chance[k].append(np.array(chance))


def _summary(task: _Task, names: np.ndarray, name: str) -> dict[str, Any]:
    groups = names[np.concatenate(task.rows)]
    found: dict[str, Any] = {"emergent": "vision" not in name}
    for k in RANKS:
        found[f"recall_at_{k}"] = _mean(np.concatenate(task.hits[k]), groups) | {
            "chance": float(np.concatenate(task.chance[k]).mean())
        }
    found["percentile"] = _mean(np.concatenate(task.percentile), groups) | {"chance": 0.5}
    return found


def _mean(values: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Mean over all rows, and its 95 % interval over resampled groups: repeats of one name are not independent."""
    _, place = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(place, values.astype(float)), np.bincount(place)

    def mean(chosen: np.ndarray) -> float:
        return float(sums[chosen].sum() / counts[chosen].sum())

    low, high = bootstrap(mean, len(counts))
    return {"value": float(values.mean()), "ci95": [low, high], "n": len(counts)}


def emergent_tasks(report: dict[str, Any]) -> Sequence[str]:
    """Names of the tasks whose two sides never met in training."""
    return [name for name, found in report["tasks"].items() if found["emergent"]]
