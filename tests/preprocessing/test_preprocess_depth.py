"""Depth becomes normalised disparity by the documented formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.depth import DEPTH, DepthParameters, check_depth, optics, preprocess_depth
from imagebind_node.samples import DepthSample


def room(height: int = 480, width: int = 640) -> np.ndarray:
    """A wall that recedes from 1 to 4 m."""
    return np.tile(np.linspace(1.0, 4.0, width, dtype=np.float32), (height, 1))


def normalised(metres: float, focal: float = 500.0, baseline: float = 0.08, limit: float = 75.0) -> float:
    return (min(focal * baseline / metres, limit) / limit - 0.0418) / 0.0295


@pytest.mark.parametrize("metres", [0.2, 0.6, 2.5, 10.0])
def test_formula(metres):
    output = preprocess_depth(DepthSample(np.full((300, 400), metres, np.float32), 500.0, 0.08))
    assert output.shape == (1, 224, 224)
    assert output.dtype == torch.float32
    assert torch.allclose(output, torch.tensor(normalised(metres)), rtol=1e-4)


def test_nearer_than_the_clamp():
    near = preprocess_depth(DepthSample(np.full((9, 9), 0.3, np.float32), 500.0, 0.08))
    assert torch.allclose(near, torch.tensor(normalised(40 / 75)), rtol=1e-4)
    wider = preprocess_depth(DepthSample(np.full((9, 9), 0.3, np.float32), 500.0, 0.08), max_disparity=150.0)
    assert torch.allclose(wider, torch.tensor(normalised(0.3, limit=150.0)), rtol=1e-4)


def test_argument_beats_sample_beats_default():
    data = room()
    assert optics(DepthSample(data)) == (pytest.approx(0.8107 * 640), 0.075)
    assert optics(DepthSample(data, 500.0, 0.05)) == (500.0, 0.05)
    assert optics(DepthSample(data, 500.0, 0.05), focal_px=600.0, baseline_m=0.1) == (600.0, 0.1)
    assert torch.equal(
        preprocess_depth(DepthSample(data), focal_px=600.0, baseline_m=0.1),
        preprocess_depth(DepthSample(data, 600.0, 0.1)),
    )


def test_framing_is_the_centre_square():
    data = np.full((100, 300), 2.0, np.float32)
    data[:, :90] = 9.0
    data[:, 210:] = 9.0
    output = preprocess_depth(DepthSample(data, 500.0, 0.08))
    assert torch.allclose(output, torch.tensor(normalised(2.0)), rtol=1e-4)
    slope = preprocess_depth(DepthSample(room(), 500.0, 0.08))[0, 0]
    assert (slope.diff() < 0).all()


def test_holes_take_what_is_around_them_and_never_bleed():
    data = np.full((448, 448), 2.0, np.float32)
    data[100:103, 100:103] = np.nan
    data[::7, ::5] = 0.0
    data[300:302, 300:302] = -1.0
    output = preprocess_depth(DepthSample(data, 500.0, 0.08))
    assert torch.allclose(output, torch.tensor(normalised(2.0)), rtol=1e-4)
    data[:, :224] = np.nan
    output = preprocess_depth(DepthSample(data, 500.0, 0.08))[0]
    assert torch.allclose(output[:, 115:], torch.tensor(normalised(2.0)), rtol=1e-4)
    assert torch.allclose(output[:, :109], torch.tensor(-0.0418 / 0.0295), rtol=1e-4)


def test_infinities_of_rep_117():
    data = np.full((224, 224), 2.0, np.float32)
    data[:100], data[100:120] = np.inf, -np.inf
    output = preprocess_depth(DepthSample(data, 500.0, 0.08))[0]
    assert torch.allclose(output[:99], torch.tensor(-0.0418 / 0.0295), rtol=1e-4)
    assert torch.allclose(output[101:119], torch.tensor(normalised(0.01)), rtol=1e-4)


def test_depth_factor_imitates_unrotated_files():
    eight = DepthParameters(depth_factor=8.0)
    output = preprocess_depth(DepthSample(np.full((9, 9), 2.0, np.float32), 500.0, 0.08), parameters=eight)
    assert torch.allclose(output, torch.tensor(normalised(16.0)), rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10000), (10000, 1), (3, 2)])
def test_any_size(shape):
    output = preprocess_depth(DepthSample(np.ones(shape, np.float32)))
    assert output.shape == (1, 224, 224)
    assert output.isfinite().all()


@pytest.mark.parametrize("value", [np.nan, 0.0, -2.0])
def test_no_measurement_at_all(value):
    with pytest.raises(InvalidInputError, match="no measurement"):
        preprocess_depth(DepthSample(np.full((4, 4), value, np.float32)))


@pytest.mark.parametrize(
    "bad", [{"focal_px": 0.0}, {"baseline_m": -0.1}, {"focal_px": float("nan")}, {"max_disparity": 0.0}]
)
def test_bad_parameters_are_named(bad):
    with pytest.raises(InvalidInputError, match=next(iter(bad))):
        preprocess_depth(DepthSample(room()), **bad)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (np.full((20, 20), np.nan, np.float32), "no measurement"),
        (np.where(np.arange(640) < 400, np.nan, room()).astype(np.float32), "holes"),
        (np.where(np.arange(640) < 4, -1.0, room()).astype(np.float32), "negative"),
        (room() * 1000, "millimetres"),
        (room() * 10, "rooms"),
        (room() / 100, "normalised picture"),
        (np.full((20, 20), 1.5, np.float32), "flat"),
    ],
)
def test_odd_depth_is_flagged(data, word):
    warnings = check_depth(DepthSample(data, 500.0))
    assert len(warnings) == 1
    assert word in warnings[0]


def test_ordinary_depth_is_not_flagged():
    assert check_depth(DepthSample(room(), 500.0)) == []
    assert "focal length" in check_depth(DepthSample(room()))[0]


def test_defaults_are_those_of_the_design():
    assert (DEPTH.max_disparity, DEPTH.mean, DEPTH.std, DEPTH.depth_factor) == (75.0, 0.0418, 0.0295, 1.0)
