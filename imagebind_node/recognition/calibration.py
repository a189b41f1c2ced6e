"""Probabilities that mean what they say: temperature scaling (Guo et al. 2017) and the level of the unknown."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from imagebind_node.errors import InvalidInputError


def softmax(logits: np.ndarray) -> np.ndarray:
    """Float64, over the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def fit_temperature(cosines: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes the right classes most likely (least negative log likelihood).

    cosines: (N, C); labels: int (N,), index of the right class. Needs both right and wrong answers to be finite.
    """
    cosines, labels = _checked(cosines, labels)

    def loss(log_temperature: float) -> float:
        shares = softmax(cosines / np.exp(log_temperature))
        return float(-np.log(np.maximum(shares[np.arange(len(labels)), labels], 1e-12)).mean())

    found = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(10.0)), method="bounded")
    return float(np.exp(found.x))


def fit_unknown(known_best: np.ndarray, unknown_best: np.ndarray) -> float:
    """The cosine that best parts known from unknown inputs (largest sum of the two rates of right decisions).

    known_best, unknown_best: each input's largest cosine with any class, for inputs of the classes and others.
    """
    if len(known_best) == 0 or len(unknown_best) == 0:
        raise InvalidInputError("the unknown level needs at least one known and one unknown example")
    levels = np.unique(np.concatenate([known_best, unknown_best]))
    middles = (levels[1:] + levels[:-1]) / 2 if len(levels) > 1 else levels
    rates = [(known_best > level).mean() + (unknown_best <= level).mean() for level in middles]
    return float(middles[int(np.argmax(rates))])


def expected_calibration_error(shares: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Mean distance between confidence and accuracy over `bins` bins of confidence, 0 (best) to 1."""
    shares, labels = _checked(shares, labels)
    confidence, right = shares.max(1), shares.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for i in range(bins):
        inside = place == i
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)


def _checked(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, labels = np.asarray(values, np.float64), np.asarray(labels)
    if values.ndim != 2 or labels.shape != values.shape[:1] or len(values) == 0:
        raise InvalidInputError(f"need values (N, C) and labels (N,), got {values.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= values.shape[1]:
        raise InvalidInputError(f"labels must be 0 to {values.shape[1] - 1}")
    return values, labels
