from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.encoders.concept import log_mel


def noise(count: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 160, 399, 400, 512, 4800, 40_000])
def test_stream_equals_the_offline_spectrogram(block):
    signal = noise(20_000 if block == 1 else 40_000)
    stream = log_mel.StreamingLogMel()
    for start in range(0, len(signal), block):
        stream.push(signal[start : start + block])
    # The matrix product rounds differently for one frame than for many.
    offline = log_mel.log_mel(signal)[-log_mel.PATCH_FRAMES :]
    np.testing.assert_allclose(stream.input()[0].numpy(), offline, rtol=0, atol=1e-6)


def test_stream_computes_only_new_frames(monkeypatch):
    computed = []
    whole = log_mel.log_mel
    monkeypatch.setattr(log_mel, "log_mel", lambda x: computed.append(len(x)) or whole(x))
    stream = log_mel.StreamingLogMel()
    for start in range(0, 160_000, 1600):
        stream.push(noise(160_000)[start : start + 1600])
    assert max(computed) < 1600 + log_mel.FRAME + log_mel.HOP


def test_stream_needs_a_whole_window_and_forgets_on_reset():
    stream = log_mel.StreamingLogMel()
    stream.push(noise(log_mel.PATCH_SAMPLES - 1))
    assert stream.input() is None
    stream.push(noise(1))
    assert stream.input().shape == (1, 96, 64)
    stream.reset()
    assert stream.input() is None


def test_a_returned_window_does_not_change_with_the_stream():
    stream = log_mel.StreamingLogMel()
    stream.push(noise(log_mel.PATCH_SAMPLES))
    first = stream.input()
    before = first.clone()
    stream.push(noise(16_000))
    assert (first == before).all()


@pytest.mark.parametrize(
    ("count", "patches"), [(1, 1), (15_600, 1), (15_601, 2), (15_600 + 7680, 2), (160_000, 20)]
)
def test_patches_cover_the_sound(count, patches):
    assert log_mel.patches(noise(count)).shape == (patches, 96, 64)


def test_a_tone_lights_its_band():
    t = np.arange(16_000) / 16_000
    frames = log_mel.log_mel(np.sin(2 * np.pi * 1000 * t).astype(np.float32))
    edges = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)
    assert abs(edges[1:-1][frames.mean(0).argmax()] - 1127 * np.log1p(1000 / 700)) < edges[1] - edges[0]
