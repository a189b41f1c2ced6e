"""InfoNCE against the formula written out, term by term, in double precision."""

from __future__ import annotations

import math

import pytest
import torch

from imagebind_node.binding.loss import BindingLoss
from imagebind_node.errors import InvalidInputError


def literal(q: list[list[float]], k: list[list[float]], temperature: float) -> float:
    """-log( exp(q_i k_i / t) / sum_j exp(q_i k_j / t) ), mean over i, and the same with q and k exchanged, halved."""

    def unit(row: list[float]) -> list[float]:
        length = math.sqrt(sum(x * x for x in row))
        return [x / length for x in row]

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b))

    q, k = [unit(row) for row in q], [unit(row) for row in k]
    total = 0.0
    for a, b in ((q, k), (k, q)):
        for i in range(len(a)):
            terms = [math.exp(dot(a[i], b[j]) / temperature) for j in range(len(b))]
            total += -math.log(terms[i] / sum(terms)) / len(a)
    return total / 2


def rows(seed: int, count: int = 9, dim: int = 6) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_value_is_the_formula(temperature):
    q, k = rows(0), torch.nn.functional.normalize(rows(1), dim=-1)
    expected = literal(q.tolist(), k.tolist(), temperature)
    found = BindingLoss(temperature)(q, k).item()
    assert found == pytest.approx(expected, abs=1e-6)
    assert BindingLoss(temperature)(q.float(), k.float()).item() == pytest.approx(expected, abs=1e-5)


def test_gradients_are_the_formulas():
    """By central differences of the literal formula."""
    q, k = rows(2, 5, 4), torch.nn.functional.normalize(rows(3, 5, 4), dim=-1)
    loss = BindingLoss(0.1, learn_temperature=True).double()
    leaf = q.clone().requires_grad_()
    loss(leaf, k).backward()
    step = 1e-5
    for i in range(5):
        for j in range(4):
            up, down = q.clone(), q.clone()
            up[i, j] += step
            down[i, j] -= step
            slope = (literal(up.tolist(), k.tolist(), 0.1) - literal(down.tolist(), k.tolist(), 0.1)) / (
                2 * step
            )
            assert leaf.grad[i, j].item() == pytest.approx(slope, abs=1e-6)
    up, down = 0.1 * math.exp(-step), 0.1 * math.exp(step)
    slope = (literal(q.tolist(), k.tolist(), up) - literal(q.tolist(), k.tolist(), down)) / (2 * step)
    assert loss.log_scale.grad.item() == pytest.approx(slope, rel=1e-4)


def test_likeness_to_a_teacher():
    q, k = rows(4), torch.nn.functional.normalize(rows(5), dim=-1)
    cosines = torch.nn.functional.cosine_similarity(q, k)
    found = BindingLoss(contrastive=0, cosine=2.0)(q, k)
    assert found.item() == pytest.approx(2 * (1 - cosines.mean().item()), abs=1e-6)
    both = BindingLoss(0.1, contrastive=1.0, cosine=2.0)(q, k) - found
    assert both.item() == pytest.approx(literal(q.tolist(), k.tolist(), 0.1), abs=1e-6)


def test_a_learnt_temperature_stays_above_one_hundredth():
    loss = BindingLoss(0.07, learn_temperature=True)
    with torch.no_grad():
        loss.log_scale.fill_(20.0)
    assert loss.temperature == pytest.approx(0.01)


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"temperature": math.nan}, {"contrastive": 0}, {"cosine": -1}]
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(InvalidInputError):
        BindingLoss(**options)
