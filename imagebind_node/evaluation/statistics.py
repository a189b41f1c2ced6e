"""Chance and confidence."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, sqrt

import numpy as np

_Z95 = 1.959963984540054


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson 1927), 0 to 1."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _Z95**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = _Z95 * sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def proportion(hits: np.ndarray) -> dict[str, object]:
    """{"value", "ci95": [low, high], "n"} of a boolean array."""
    hits = np.asarray(hits, bool)
    low, high = wilson(int(hits.sum()), len(hits))
    return {"value": float(hits.mean()) if len(hits) else 0.0, "ci95": [low, high], "n": len(hits)}


def bootstrap(
    statistic: Callable[[np.ndarray], float], count: int, *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(indices)` over resampled indices 0..count-1."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(count, size=count)) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def chance_recall(relevant: np.ndarray, gallery: int, k: int) -> float:
    """Expected recall at k of a random order; `relevant`: number of right answers of each query."""
    total = comb(gallery, min(k, gallery))
    return float(np.mean([1 - comb(gallery - int(r), min(k, gallery)) / total for r in relevant]))


def chance_average_precision(relevant: np.ndarray, gallery: int) -> float:
    """Expected average precision of a random order; `relevant`: number of right answers of each query."""
    rank = np.arange(1, gallery + 1)
    others = (np.asarray(relevant, np.float64)[:, None] - 1) / max(gallery - 1, 1)
    return float(((1 + (rank - 1) * others) / rank).mean())


def average_precision(scores: np.ndarray, correct: np.ndarray, positives: int) -> float:
    """Area under the interpolated precision-recall curve; `positives`: number of things to be found."""
    if positives == 0 or not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(correct[order])
    precision = found / np.arange(1, len(found) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * correct[order]).sum() / positives)
