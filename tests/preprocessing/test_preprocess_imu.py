"""IMU recordings of any rate become the newest 5 s on a 400 Hz grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.imu import ImuParameters, check_imu, preprocess_imu
from imagebind_node.samples import ImuSample


def motion(rate: float, seconds: float, hertz: float = 1.0, start: float = 0.0) -> ImuSample:
    """Gravity on z, a swing of `hertz` on every other channel; channel k is k times as strong."""
    times = np.arange(round(rate * seconds)) / rate
    data = np.sin(2 * np.pi * hertz * (times - times[-1]))[:, None] * np.arange(1, 7)
    data[:, 2] = 9.81
    return ImuSample(data.astype(np.float32), times + start)


@pytest.mark.parametrize("rate", [50.0, 100.0, 200.0, 400.0, 999.0, 2000.0])
@pytest.mark.parametrize("start", [0.0, 1.7e9])
def test_any_rate_and_epoch(rate, start):
    output = preprocess_imu(motion(rate, 6.0, start=start)).numpy()
    assert output.shape == (6, 2000)
    assert output.dtype == np.float32
    grid = (np.arange(2000) - 1999) / 400
    for channel in (0, 1, 3, 4, 5):
        expected = (channel + 1) * np.sin(2 * np.pi * grid)
        inside = slice(100, -100)
        assert np.abs(output[channel] - expected)[inside].max() < 0.015 * (channel + 1)
    assert np.abs(output[2] - 9.81).max() < 1e-3


def test_same_rate_is_passed_through():
    sample = motion(400.0, 6.0)
    np.testing.assert_allclose(preprocess_imu(sample).numpy(), sample.data[-2000:].T, atol=1e-5)


def test_vibration_that_the_grid_cannot_hold_is_removed():
    # 390 Hz sampled at 400 Hz would look like 10 Hz.
    output = preprocess_imu(motion(4000.0, 6.0, hertz=390.0)).numpy()
    assert np.abs(output[0, 100:-100]).max() < 0.02
    assert np.abs(output[2] - 9.81).max() < 0.01


def test_short_recordings_repeat_their_start():
    sample = motion(100.0, 1.0)
    output = preprocess_imu(sample).numpy()
    np.testing.assert_allclose(output[:, :1600], np.repeat(sample.data[:1].T, 1600, axis=1), rtol=1e-6)
    np.testing.assert_allclose(output[:, -1], sample.data[-1], atol=1e-6)


def test_other_grids_and_normalisation():
    sample = motion(200.0, 3.0)
    assert preprocess_imu(sample, rate=100.0, duration=2.0).shape == (6, 200)
    scaled = preprocess_imu(sample, parameters=ImuParameters(mean=(0, 0, 9.81, 0, 0, 0), std=(2.0,) * 6))
    plain = preprocess_imu(sample)
    expected = (plain - torch.tensor([0, 0, 9.81, 0, 0, 0])[:, None]) / 2
    assert (scaled - expected).abs().max() < 1e-5


def without(sample: ImuSample, first: float, last: float) -> ImuSample:
    keep = (sample.times < first) | (sample.times >= last)
    return ImuSample(sample.data[keep], sample.times[keep])


def test_gaps_are_refused_with_their_place():
    sample = without(motion(100.0, 8.0), 5.0, 5.5)
    with pytest.raises(InvalidInputError, match=r"gap of 0\.510 s at 4\.990 s from its start"):
        preprocess_imu(sample)
    late = ImuSample(sample.data, sample.times + 1.7e9)
    with pytest.raises(InvalidInputError, match=r"gap of 0\.510 s at 4\.990 s from its start"):
        preprocess_imu(late)


def test_gaps_before_the_window_and_short_ones_are_not():
    assert preprocess_imu(without(motion(100.0, 8.0), 1.0, 2.0)).shape == (6, 2000)
    assert preprocess_imu(without(motion(100.0, 8.0), 5.0, 5.08)).shape == (6, 2000)
    allowing = ImuParameters(max_gap_s=1.0)
    assert preprocess_imu(without(motion(100.0, 8.0), 5.0, 5.5), parameters=allowing).shape == (6, 2000)


def test_too_slow_and_wrong_unit_of_time():
    with pytest.raises(InvalidInputError, match="at least 10"):
        preprocess_imu(motion(5.0, 8.0))
    milliseconds = motion(100.0, 8.0)
    with pytest.raises(InvalidInputError, match="not in seconds"):
        preprocess_imu(ImuSample(milliseconds.data, milliseconds.times * 1000))


@pytest.mark.parametrize(
    "choice", [{"rate": 0.0}, {"duration": -1.0}, {"rate": float("nan")}, {"duration": 1e9}]
)
def test_bad_grids(choice):
    with pytest.raises(InvalidInputError, match="above 0"):
        preprocess_imu(motion(100.0, 6.0), **choice)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.floats(1e-6, 0.2), min_size=1, max_size=60), start=st.floats(-1e9, 2e9))
def test_any_times_give_a_finite_window_or_a_clear_refusal(steps, start):
    times = start + np.cumsum([0.0, *steps])
    if not (np.diff(times) > 0).all():
        return
    sample = ImuSample(np.ones((len(times), 6), np.float32), times)
    try:
        output = preprocess_imu(sample)
    except InvalidInputError as error:
        message = str(error)
    else:
        assert torch.allclose(output, torch.ones(6, 2000))
        return
    assert "gap" in message or "measurements a second" in message


def recording(acceleration=(0.0, 0.0, 9.81), turn=0.5, rate=200.0, seconds=6.0) -> ImuSample:
    times = np.arange(int(rate * seconds)) / rate
    rng = np.random.default_rng(0)
    data = (
        rng.normal(0.0, 1.0, (len(times), 6))
        * np.r_[np.full(3, 0.02 * np.abs(acceleration).max()), np.full(3, turn)]
    )
    data[:, :3] += acceleration
    return ImuSample(data.astype(np.float32), times)


@pytest.mark.parametrize(
    ("sample", "word"),
    [
        (recording((0, 0, 1.0)), "in g?"),
        (recording((0, 0, 1000.0)), "milli-g"),
        (recording((0.1, 0.0, 0.0)), "gravity was removed"),
        (recording((0, 0, 90.0)), "wrong unit"),
        (recording((0, 0, 0.0)), "acceleration is all zero"),
        (recording(turn=0.0), "turn rate is all zero"),
        (recording(turn=90.0), "degrees per second"),
        (recording(seconds=2.0), "shorter"),
        (recording(rate=20.0), "fast motion"),
        (ImuSample(recording().data, recording().times * 1e6), "in seconds?"),
    ],
)
def test_odd_recordings_are_flagged(sample, word):
    warnings = check_imu(sample)
    assert len(warnings) == 1
    assert word in warnings[0]


def test_stuck_channel_and_ordinary_recording():
    assert check_imu(recording()) == []
    data = recording().data.copy()
    data[:, 4] = 0.25
    assert "gy never changes" in check_imu(ImuSample(data, recording().times))[0]
