"""Sums and differences of embeddings beyond `embedding.combine`: spherical means, and what each term contributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from imagebind_node.embedding import Embedding, combine, stack
from imagebind_node.errors import InvalidInputError

_STEPS = 100
_TOLERANCE = 1e-9


def combine_spherical(embeddings: Sequence[Embedding], weights: Sequence[float] | None = None) -> Embedding:
    """Weighted mean along the surface of the unit sphere (Fréchet mean; slerp for two terms).

    The point where the weighted arcs to all terms balance. A linear sum of two vectors halves the angle only for
    equal weights; this divides it in the ratio of the weights. Negative weights push away; the weights must sum to
    more than 0. Raises InvalidInputError if they do not, or if no balance is found (terms opposite to each other).
    """
    linear = combine(embeddings, weights)
    factors = np.ones(len(embeddings)) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.sum() <= 0:
        raise InvalidInputError(
            f"a spherical combination needs weights that sum to more than 0, got {factors.sum():g}"
        )
    matrix = stack(embeddings).astype(np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    # A negative weight makes the plain step overshoot, so the step is divided by the absolute weights.
    scale = np.abs(factors).sum()
    point = linear.vector.astype(np.float64)
    point /= np.linalg.norm(point)
    for _ in range(_STEPS * max(1, round(scale / factors.sum()))):
        cosines = np.clip(matrix @ point, -1.0, 1.0)
        if (cosines < -1 + 1e-9).any():
            break
        arcs = np.arccos(cosines)
        tangents = matrix - cosines[:, None] * point
        lengths = np.linalg.norm(tangents, axis=1, keepdims=True)
        step = ((factors * arcs)[:, None] * tangents / np.maximum(lengths, 1e-12)).sum(0) / scale
        size = np.linalg.norm(step)
        if size < _TOLERANCE:
            return replace(linear, vector=point.astype(np.float32))
        point = np.cos(size) * point + np.sin(size) * step / size
        point /= np.linalg.norm(point)
    raise InvalidInputError("the terms lie too far apart for a spherical combination: use the linear one")


def contributions(embeddings: Sequence[Embedding], combination: Embedding, targets: np.ndarray) -> np.ndarray:
    """How much each term adds to the cosine between a combination of `embeddings` and each target.

    targets: float (N, dim), unit rows. Returns float32 (N, terms); rows sum to the cosine, since every combination,
    linear or spherical, is a weighted sum of its terms (found by least squares).
    """
    matrix = stack(embeddings).astype(np.float64)
    combination.space.require_same(embeddings[0].space)
    coefficients, *_ = np.linalg.lstsq(matrix.T, combination.vector.astype(np.float64), rcond=None)
    return ((np.asarray(targets, np.float64) @ matrix.T) * coefficients).astype(np.float32)
