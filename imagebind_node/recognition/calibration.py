"""Probabilities that mean what they say: temperature scaling (Guo et al. 2017) and the level of the unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError

if TYPE_CHECKING:
    from imagebind_node.recognition.zero_shot import ZeroShotClassifier


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


@dataclass(frozen=True)
class Calibration:
    """temperature and, if other inputs were given, unknown_cosine for a class set; accuracy of the examples;
    error_before, error_after: calibration error with the old temperature, and with one fitted to the other half."""

    temperature: float
    unknown_cosine: float | None
    accuracy: float
    error_before: float
    error_after: float


def calibrate(
    classifier: ZeroShotClassifier,
    embeddings: Sequence[Embedding],
    labels: Sequence[str],
    others: Sequence[Embedding] = (),
) -> Calibration:
    """Fit a classifier's temperature to labelled embeddings, and its unknown level to `others`, of none of its classes.

    Embeddings may be of several modalities. Raises InvalidInputError for a label that is no class, or fewer than 4.
    """
    names = classifier.class_set.labels
    strange = sorted(set(labels) - set(names))
    if strange or len(labels) < 4:
        raise InvalidInputError(
            f"{strange[0]!r} is none of the classes: {', '.join(names[:10])}"
            if strange
            else f"calibration needs at least 4 examples, got {len(labels)}"
        )
    cosines = np.concatenate([classifier.cosines([embedding]) for embedding in embeddings])
    index = np.array([names.index(label) for label in labels])
    # Examples come in order of their class: alternate ones are two halves with all classes.
    halves = np.arange(len(index)) % 2
    shares = np.empty(cosines.shape)
    for half in (0, 1):
        here = halves == half
        shares[here] = softmax(
            cosines[here].astype(np.float64) / fit_temperature(cosines[~here], index[~here])
        )
    best = [float(classifier.cosines([embedding]).max()) for embedding in others]
    return Calibration(
        temperature=fit_temperature(cosines, index),
        unknown_cosine=fit_unknown(cosines.max(1), np.array(best)) if best else None,
        accuracy=float((cosines.argmax(1) == index).mean()),
        error_before=expected_calibration_error(classifier.probabilities(cosines)[:, : len(names)], index),
        error_after=expected_calibration_error(shares, index),
    )


def _checked(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, labels = np.asarray(values, np.float64), np.asarray(labels)
    if values.ndim != 2 or labels.shape != values.shape[:1] or len(values) == 0:
        raise InvalidInputError(f"need values (N, C) and labels (N,), got {values.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= values.shape[1]:
        raise InvalidInputError(f"labels must be 0 to {values.shape[1] - 1}")
    return values, labels
