"""Thermal pictures become one channel in [0, 1] by a stated window."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.thermal import (
    ThermalParameters,
    check_thermal,
    preprocess_thermal,
    window_of,
)
from imagebind_node.samples import ThermalSample


def gradient(low: float, high: float, dtype: type, height: int = 240, width: int = 320) -> np.ndarray:
    return np.tile(np.linspace(low, high, width), (height, 1)).astype(dtype)


def test_eight_bit_is_only_scaled():
    output = preprocess_thermal(ThermalSample(np.full((224, 224), 51, np.uint8)))
    assert output.shape == (1, 224, 224)
    assert output.dtype == torch.float32
    assert torch.allclose(output, torch.tensor(0.2))


@pytest.mark.parametrize(
    ("data", "choice", "expected"),
    [
        (gradient(0, 255, np.uint8), {}, (0.0, 255.0)),
        (gradient(0, 200, np.uint8), {"percentiles": (0, 100)}, (0.0, 200.0)),
        (gradient(29000, 31000, np.uint16), {}, (29020.0, 30980.0)),
        (gradient(29000, 31000, np.uint16), {"window": (28000, 32000)}, (28000.0, 32000.0)),
        (gradient(29000, 31000, np.uint16), {"radiometric": (10, 40)}, (28315.0, 31315.0)),
        (gradient(290, 310, np.float32), {"radiometric": (10, 40)}, (283.15, 313.15)),
        (gradient(290, 310, np.float32), {"percentiles": (10, 90)}, (292.0, 308.0)),
        (np.full((9, 9), 300, np.float32), {}, (299.5, 300.5)),
    ],
)
def test_windows(data, choice, expected):
    sample = ThermalSample(data)
    assert window_of(sample, **choice) == pytest.approx(expected, rel=1e-4)
    output = preprocess_thermal(sample, **choice)
    assert 0.0 <= output.min() <= output.max() <= 1.0
    middle = data[data.shape[0] // 2, data.shape[1] // 2]
    value = (float(middle) - expected[0]) / (expected[1] - expected[0])
    assert output[0, 112, 112].item() == pytest.approx(np.clip(value, 0, 1), abs=0.01)


def test_warm_stays_bright_and_the_middle_is_cut_out():
    output = preprocess_thermal(ThermalSample(gradient(0, 255, np.uint8, 100, 300)))[0, 0]
    # The bicubic filter rings by a fraction of a level at the source's 8-bit steps.
    assert (output.diff() > -0.001).all()
    assert output[0].item() == pytest.approx(1 / 3, abs=0.01)
    assert output[-1].item() == pytest.approx(2 / 3, abs=0.01)


def test_dead_pixels_take_the_median():
    data = np.full((224, 224), 300.0, np.float32)
    data[0, 0] = 310.0
    data[50, 50] = np.nan
    data[60, 60] = np.inf
    output = preprocess_thermal(ThermalSample(data), window=(290, 310))[0]
    assert output[50, 50] == output[60, 60] == output[100, 100] == 0.5


def test_normalisation_is_a_parameter():
    output = preprocess_thermal(
        ThermalSample(np.full((9, 9), 255, np.uint8)), parameters=ThermalParameters(mean=0.5, std=0.5)
    )
    assert torch.allclose(output, torch.tensor(1.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (1, 10000), (10000, 1), (3, 2)])
def test_any_size_and_read_only_views(dtype, shape):
    data = np.ones(shape, dtype)
    data.setflags(write=False)
    output = preprocess_thermal(ThermalSample(data[::-1, ::-1]))
    assert output.shape == (1, 224, 224)
    assert output.isfinite().all()


@pytest.mark.parametrize(
    ("data", "choice", "word"),
    [
        (gradient(0, 255, np.uint8), {"radiometric": (10, 40)}, "no temperatures"),
        (gradient(0, 255, np.uint8), {"window": (10, 10)}, "low below high"),
        (gradient(0, 255, np.uint8), {"window": (0, float("nan"))}, "low below high"),
        (gradient(0, 255, np.uint8), {"percentiles": (-1, 50)}, "from 0 to 100"),
        (gradient(0, 255, np.uint8), {"percentiles": (1, 99), "window": (0, 255)}, "only one"),
        (np.full((4, 4), np.nan, np.float32), {}, "no measurement"),
        (np.full((4, 4), np.nan, np.float32), {"window": (0, 1)}, "no measurement"),
    ],
)
def test_refusals(data, choice, word):
    with pytest.raises(InvalidInputError, match=word):
        preprocess_thermal(ThermalSample(data), **choice)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (np.full((9, 9), 90, np.uint8), "flat"),
        (gradient(29315, 29325, np.uint16), "flat"),
        (gradient(15, 35, np.float32), "Celsius"),
        (gradient(20000, 21000, np.float32), "raw counts"),
        (np.full((9, 9), np.nan, np.float32), "no measurement"),
        (np.where(np.arange(320) < 30, np.nan, gradient(290, 310, np.float32)).astype(np.float32), "dead"),
        (np.where(np.arange(320) < 200, 255, gradient(0, 255, np.uint8)).astype(np.uint8), "saturated"),
    ],
)
def test_odd_thermal_pictures_are_flagged(data, word):
    warnings = check_thermal(ThermalSample(data))
    assert len(warnings) == 1
    assert word in warnings[0]


def test_ordinary_thermal_pictures_are_not_flagged():
    for data in (
        gradient(0, 255, np.uint8),
        gradient(29000, 31000, np.uint16),
        gradient(290, 310, np.float32),
    ):
        assert check_thermal(ThermalSample(data)) == []
