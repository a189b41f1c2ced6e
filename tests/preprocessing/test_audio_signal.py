"""Sample rate conversion, whole and in blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.audio_signal import StreamResampler, resample, to_mono

RATES = [
    (44100, 16000),
    (48000, 16000),
    (22050, 16000),
    (8000, 16000),
    (16000, 44100),
    (15999, 16000),
    (16000, 16000),
]


def _tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_tones_keep_frequency_phase_and_level(rate_in, rate_out):
    output = resample(_tone(1000, rate_in), rate_in, rate_out)
    assert output.dtype == np.float32
    assert len(output) == rate_out
    assert np.abs(output - _tone(1000, rate_out))[200:-200].max() < 0.01


def test_what_the_lower_rate_cannot_hold_is_removed():
    assert np.abs(resample(_tone(12000, 48000), 48000, 16000))[200:-200].max() < 0.01


def test_channels_are_kept_apart():
    stereo = np.stack([_tone(500, 48000), _tone(900, 48000)], axis=1)
    output = resample(stereo, 48000, 16000)
    np.testing.assert_array_equal(output[:, 0], resample(stereo[:, 0], 48000, 16000))
    np.testing.assert_array_equal(output[:, 1], resample(stereo[:, 1], 48000, 16000))


@settings(max_examples=40, deadline=None)
@given(
    rates=st.sampled_from(RATES), blocks=st.lists(st.integers(0, 2500), max_size=12), seed=st.integers(0, 99)
)
def test_stream_equals_the_whole_however_it_is_cut(rates, blocks, seed):
    rate_in, rate_out = rates
    signal = np.random.default_rng(seed).standard_normal(sum(blocks)).astype(np.float32)
    stream = StreamResampler(rate_in, rate_out)
    cuts = np.cumsum([0, *blocks])
    pieces = [stream.push(signal[a:b]) for a, b in itertools.pairwise(cuts)]
    joined = np.concatenate([np.zeros(0, np.float32), *pieces])
    np.testing.assert_array_equal(joined, StreamResampler(rate_in, rate_out).push(signal))
    if len(signal):
        whole = resample(signal, rate_in, rate_out)
        np.testing.assert_allclose(joined, whole[: len(joined)], atol=1e-5)
        # Only the tail that needs the future is missing: 7 samples at the lower rate.
        assert len(whole) - len(joined) <= 7 * max(1, rate_out / rate_in) + 1


def test_stream_holds_no_more_than_its_kernel():
    stream = StreamResampler(44100, 16000)
    for _ in range(200):
        stream.push(np.zeros(441, np.float32))
    assert len(stream._history) < 100


def test_stream_reset_starts_afresh():
    stream = StreamResampler(48000, 16000)
    first = stream.push(_tone(700, 48000))
    stream.reset()
    np.testing.assert_array_equal(stream.push(_tone(700, 48000)), first)


def test_to_mono():
    mono = np.ones(3, np.float32)
    assert to_mono(mono) is mono
    np.testing.assert_array_equal(to_mono(np.array([[1, 3], [0, 1]], np.float32)), [2.0, 0.5])
    with pytest.raises(InvalidInputError, match="channels"):
        to_mono(np.zeros((2, 3, 4), np.float32))
    with pytest.raises(InvalidInputError, match="mono"):
        StreamResampler(8000, 16000).push(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
    "rates", [(0, 16000), (16000, -1), (16000.5, 16000), (10_000_000, 16000), (float("nan"), 1)]
)
def test_bad_rates(rates):
    with pytest.raises(InvalidInputError, match="whole number"):
        resample(np.zeros(10, np.float32), *rates)
