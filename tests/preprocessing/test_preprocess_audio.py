"""Mel spectrograms equal the original's; a stream equals the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.audio import (
    AUDIO,
    StreamingFbank,
    check_audio,
    fbank,
    frame_count,
    preprocess_audio,
)
from imagebind_node.preprocessing.clips import clip_spans
from imagebind_node.samples import AudioSample

DATA = Path(__file__).parents[1] / "data" / "preprocessing" / "audio.npz"
SECOND = AUDIO.sample_rate


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize(
    ("name", "rate", "largest", "average"),
    [
        ("16k_5s", 16000, 1e-3, 1e-3),
        ("16k_1s", 16000, 1e-3, 1e-3),
        ("44k_3p7s", 44100, 0.5, 0.02),
        ("48k_2s", 48000, 0.5, 0.02),
    ],
)
def test_golden_spectrograms(name, rate, largest, average):
    with np.load(DATA) as golden:
        data, mel, clips = (golden[f"audio_{name}{part}"] for part in ("", "_mel", "_clips"))
    output = preprocess_audio(AudioSample(data, rate)).numpy()
    assert output.shape == mel.shape == (3, 1, 128, 204)
    assert np.abs(output - mel).max() <= largest
    assert np.abs(output - mel).mean() <= average
    length = -(-len(data) * 16000 // rate)
    np.testing.assert_allclose(np.array(clip_spans(length / 16000, 2, 3), float), clips, atol=1e-4)


def test_fbank_against_a_literal_float64_implementation(rng):
    wave = (0.3 * np.sin(np.arange(8000) ** 1.5 / 90) + 0.01 * rng.standard_normal(8000)).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 130)
    mels = 1127 * np.log(1 + np.arange(256) * 31.25 / 700)
    rows = []
    for start in range(0, 8000 - 400 + 1, 160):
        frame = wave[start : start + 400].astype(np.float64)
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512))[:256] ** 2
        row = []
        for left, centre, right in zip(edges, edges[1:], edges[2:]):
            triangle = np.minimum((mels - left) / (centre - left), (right - mels) / (right - centre)).clip(0)
            row.append(np.log(max(power @ triangle, np.finfo(np.float32).eps)))
        rows.append(row)
    output = fbank(torch.from_numpy(wave)).numpy()
    assert output.shape == (48, 128)
    # Triangles narrower than an FFT bin have weights that are mostly rounding: compare where there is energy.
    expected = np.array(rows)
    loud = expected > -8
    assert loud.mean() > 0.5
    assert np.abs(output - expected)[loud].max() < 5e-3


def test_a_constant_added_to_the_signal_changes_nothing(rng):
    wave = 0.1 * rng.standard_normal(SECOND).astype(np.float32)
    plain, shifted = fbank(torch.from_numpy(wave)), fbank(torch.from_numpy(wave + np.float32(0.25)))
    assert (plain - shifted).abs().max() < 2e-3


def test_padding_is_zero_before_normalising():
    output = preprocess_audio(AudioSample(np.full(SECOND, 0.1, np.float32), SECOND))
    frames = frame_count(SECOND)
    assert torch.allclose(output[..., frames:], torch.tensor(4.268 / 9.138))
    floor = (np.log(np.finfo(np.float32).eps) + 4.268) / 9.138
    assert torch.allclose(output[..., :frames], torch.tensor(floor, dtype=torch.float32))


def test_channels_are_averaged(rng):
    left, right = (0.1 * rng.standard_normal(SECOND).astype(np.float32) for _ in range(2))
    stereo = preprocess_audio(AudioSample(np.stack([left, right], axis=1), SECOND))
    mono = preprocess_audio(AudioSample((left + right) / 2, SECOND))
    assert (stereo - mono).abs().max() < 1e-3


def test_read_only_samples_and_short_sounds(rng):
    wave = 0.1 * rng.standard_normal(400).astype(np.float32)
    wave.setflags(write=False)
    assert preprocess_audio(AudioSample(wave, SECOND)).shape == (3, 1, 128, 204)
    with pytest.raises(InvalidInputError, match=r"24\.9 ms is shorter than one analysis frame \(25 ms\)"):
        preprocess_audio(AudioSample(wave[:399], SECOND))


@settings(max_examples=25, deadline=None)
@given(
    blocks=st.lists(st.integers(0, 9000), min_size=1, max_size=14),
    offset=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 99),
)
def test_stream_equals_the_window_taken_offline(blocks, offset, seed):
    total = sum(blocks)
    rng = np.random.default_rng(seed)
    wave = (offset + 0.1 * rng.standard_normal(total)).astype(np.float32)
    wave[total // 3 : total // 2] = offset
    stream = StreamingFbank()
    pushed = 0
    for block in blocks:
        stream.push(wave[pushed : pushed + block])
        pushed += block
        newest = stream.input()
        assert (newest is None) == (pushed < 2 * SECOND)
        if newest is not None:
            start = (frame_count(pushed) - 198) * 160
            offline = preprocess_audio(AudioSample(wave[start : start + 31920], SECOND))[:1]
            assert newest.shape == (1, 1, 128, 204)
            assert (newest - offline).abs().max() < 1e-4


def test_stream_computes_only_new_frames(rng, monkeypatch):
    from imagebind_node.preprocessing import audio

    computed = []

    def counting(waveform, parameters):
        result = fbank(waveform, parameters)
        computed.append(len(result))
        return result

    monkeypatch.setattr(audio, "fbank", counting)
    stream = StreamingFbank()
    stream.push(np.zeros(2 * SECOND, np.float32))
    assert computed == [198]
    for _ in range(10):
        stream.push(np.zeros(1600, np.float32))
    assert sum(computed[1:]) == 100
    stream.push(np.zeros(60 * SECOND, np.float32))
    assert computed[-1] == 198


def test_stream_forgets_on_reset():
    stream = StreamingFbank()
    stream.push(np.ones(2 * SECOND, np.float32))
    assert stream.input() is not None
    stream.reset()
    assert stream.input() is None
    with pytest.raises(InvalidInputError, match="mono"):
        stream.push(np.zeros((10, 2), np.float32))


def _tone(level: float, seconds: float = 2.0, rate: int = SECOND) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("data", "rate", "word"),
    [
        (_tone(20000.0), SECOND, "not scaled"),
        (_tone(3.0).clip(-1, 1), SECOND, "clipped"),
        (_tone(0.1) + np.float32(0.3), SECOND, "offset"),
        (np.zeros(2 * SECOND, np.float32), SECOND, "silence"),
        (_tone(5e-5), SECOND, "quiet"),
        (np.stack([_tone(0.2), -_tone(0.2)], axis=1), SECOND, "cancel"),
        (np.stack([_tone(0.2), 0 * _tone(0.2)], axis=1), SECOND, "channel 1 of 2 is silent"),
        (_tone(0.2, rate=8000), 8000, "4.0 kHz"),
        (_tone(0.2, seconds=0.5), SECOND, "shorter"),
    ],
)
def test_odd_sounds_are_flagged(data, rate, word):
    warnings = check_audio(AudioSample(data, rate))
    assert len(warnings) == 1
    assert word in warnings[0]


def test_ordinary_sounds_are_not_flagged():
    with np.load(DATA) as golden:
        assert check_audio(AudioSample(golden["audio_44k_3p7s"], 44100)) == []
    assert check_audio(AudioSample(np.stack([_tone(0.2), _tone(0.1)], axis=1), SECOND)) == []
