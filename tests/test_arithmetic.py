"""Spherical combination and contributions."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.arithmetic import combine_spherical, contributions
from imagebind_node.embedding import Embedding, Space, combine, cosine
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.samples import Modality


def embedding(*values: float) -> Embedding:
    return Embedding(np.array(values, np.float32), Modality.VISION, Space("s", len(values)))


def angle(a: Embedding, b: Embedding) -> float:
    return float(np.degrees(np.arccos(cosine(a, b))))


def test_two_terms_divide_their_angle_in_the_ratio_of_the_weights() -> None:
    a, b = embedding(1, 0, 0), embedding(0, 1, 0)
    third = combine_spherical([a, b], [2, 1])
    assert angle(a, third) == pytest.approx(30, abs=1e-3)
    assert angle(a, combine([a, b], [2, 1])) == pytest.approx(26.565, abs=1e-2)
    assert angle(a, combine_spherical([a, b])) == pytest.approx(45, abs=1e-3)


def test_a_negative_weight_pushes_away_along_the_arc() -> None:
    a, b = embedding(1, 0), embedding(np.cos(0.3), np.sin(0.3))
    away = combine_spherical([a, b], [1, -0.5])
    # 1 * (0 - x) - 0.5 * (0.3 - x) = 0  =>  x = -0.3
    assert np.arctan2(away.vector[1], away.vector[0]) == pytest.approx(-0.3, abs=1e-5)


def test_three_terms_balance() -> None:
    rng = np.random.default_rng(0)
    terms = [embedding(*(rng.standard_normal(16) + 1)) for _ in range(3)]
    weights = [1.0, 2.0, 0.5]
    mean = combine_spherical(terms, weights).vector.astype(np.float64)
    pull = np.zeros(16)
    for term, weight in zip(terms, weights):
        x = term.vector.astype(np.float64)
        tangent = x - (x @ mean) * mean
        pull += weight * np.arccos(x @ mean) * tangent / np.linalg.norm(tangent)
    assert np.linalg.norm(pull) < 1e-5


@pytest.mark.parametrize("how", [combine, combine_spherical])
def test_contributions_sum_to_the_cosine(how: object) -> None:
    rng = np.random.default_rng(1)
    terms = [embedding(*(rng.standard_normal(32) + 0.5)) for _ in range(3)]
    total = how(terms, [1.0, 2.0, -0.4])
    targets = np.stack([embedding(*rng.standard_normal(32)).vector for _ in range(5)])
    shares = contributions(terms, total, targets)
    assert shares.shape == (5, 3)
    np.testing.assert_allclose(shares.sum(1), targets @ total.vector, atol=1e-5)
    alone = contributions(terms[:1], terms[0], targets)
    np.testing.assert_allclose(alone[:, 0], targets @ terms[0].vector, atol=1e-6)


def test_impossible_combinations_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="sum to more than 0"):
        combine_spherical([embedding(1, 0), embedding(0, 1)], [1, -1])
    with pytest.raises(InvalidInputError, match="cancel"):
        combine_spherical([embedding(1, 0), embedding(-1, 0)])
    other = Embedding(np.ones(2, np.float32), Modality.TEXT, Space("t", 2))
    with pytest.raises(SpaceMismatchError):
        combine_spherical([embedding(1, 0), other])
