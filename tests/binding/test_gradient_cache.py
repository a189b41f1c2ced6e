"""Chunks give the gradient of the whole batch."""

from __future__ import annotations

import pytest
import torch
from problems import pairs, tower

from imagebind_node.binding.distributed import Group
from imagebind_node.binding.gradient_cache import backward
from imagebind_node.binding.loss import BindingLoss
from imagebind_node.binding.towers import build_tower


def gradients(network, inputs, anchors, chunk, seeds, **options):
    network.zero_grad()
    loss = BindingLoss(0.1, learn_temperature=True)
    value = backward(network, loss, inputs, anchors, chunk=chunk, seeds=seeds, group=Group(), **options)
    return value.item(), [p.grad.clone() for p in (*network.parameters(), *loss.parameters())]


def plain(network, inputs, anchors):
    network.zero_grad()
    loss = BindingLoss(0.1, learn_temperature=True)
    value = loss(network(inputs), anchors)
    value.backward()
    return value.item(), [p.grad.clone() for p in (*network.parameters(), *loss.parameters())]


def batch(count=24):
    data = pairs(count)
    return torch.from_numpy(data.samples), torch.from_numpy(data.anchors)


@pytest.mark.parametrize("chunk", [1, 5, 8, 24, 100])
def test_equal_to_the_whole_batch(chunk):
    network = tower(dropout=0.0).train()
    inputs, anchors = batch()
    expected, wanted = plain(network, inputs, anchors)
    found, made = gradients(network, inputs, anchors, chunk, range(24))
    assert found == pytest.approx(expected, abs=1e-6)
    for a, b in zip(made, wanted):
        assert torch.allclose(a, b, atol=1e-5, rtol=1e-5)


def test_dropout_falls_the_same_in_both_passes():
    """The chunks embedded one by one under their seeds and joined with a graph are what the cache must equal."""
    network = tower(dropout=0.5).train()
    inputs, anchors = batch()
    seeds = [11, 12, 13]
    network.zero_grad()
    loss = BindingLoss(0.1, learn_temperature=True)
    made = []
    for seed, part in zip(seeds, inputs.split(8)):
        torch.manual_seed(seed)
        made.append(network(part))
    value = loss(torch.cat(made), anchors)
    value.backward()
    wanted = [p.grad.clone() for p in (*network.parameters(), *loss.parameters())]
    found, got = gradients(network, inputs, anchors, 8, seeds)
    assert found == pytest.approx(value.item(), abs=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, wanted))
    _, other = gradients(network, inputs, anchors, 8, [1, 2, 3])
    assert not all(torch.allclose(a, b, atol=1e-4) for a, b in zip(other, wanted))


def test_the_random_state_outside_is_left_alone():
    network = tower().train()
    inputs, anchors = batch()
    before = torch.get_rng_state()
    gradients(network, inputs, anchors, 8, [1, 2, 3])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("section", "shape"),
    [
        ({"name": "conv2d", "widths": [8, 16]}, (6, 1, 32, 40)),
        ({"name": "conv2d", "widths": [8, 16]}, (6, 2, 1, 32, 40)),
        ({"name": "conv1d", "channels": 3, "widths": [8, 16]}, (6, 3, 64)),
        (
            {"name": "imagebind", "modality": "imu", "width": 16, "blocks": 2, "heads": 2, "drop_path": 0.5},
            (6, 6, 2000),
        ),
        (
            {"name": "imagebind", "modality": "audio", "width": 16, "blocks": 2, "heads": 2},
            (6, 2, 1, 128, 204),
        ),
    ],
)
def test_every_tower_can_be_cut_into_chunks(section, shape):
    """No row depends on the others: in evaluation mode, chunks and the whole give the same."""
    network = build_tower(section, 16, seed=0).eval()
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    anchors = torch.nn.functional.normalize(torch.randn(6, 16), dim=-1)
    expected, wanted = plain(network, inputs, anchors)
    found, made = gradients(network, inputs, anchors, 4, [0, 1])
    assert found == pytest.approx(expected, abs=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5, rtol=1e-4) for a, b in zip(made, wanted))
