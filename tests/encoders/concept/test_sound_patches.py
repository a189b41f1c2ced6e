from __future__ import annotations

import numpy as np
import pytest
import torch

from imagebind_node.encoders.concept import log_mel
from imagebind_node.encoders.concept.sound_patches import played, sound_patches
from imagebind_node.samples import AudioSample

RATES = (0.9, 1.0, 1.1)


def tone(seconds: float, hertz: float = 440.0, rate: int = 16_000) -> AudioSample:
    return AudioSample(
        np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32), rate
    )


@pytest.mark.parametrize(("rate", "hertz"), [(0.9, 396), (1.0, 440), (1.1, 484)])
def test_played_faster_is_shorter_and_higher(rate, hertz):
    signal = played(tone(2).data, rate)
    assert signal.dtype == np.float32 and len(signal) == pytest.approx(32_000 / rate, abs=1)
    spectrum = np.abs(np.fft.rfft(signal))
    assert np.fft.rfftfreq(len(signal), 1 / 16_000)[spectrum.argmax()] == pytest.approx(hertz, abs=1)


def test_a_sound_is_heard_at_every_rate():
    sound = tone(4)
    plain = log_mel.patches(sound.data)
    assert torch.equal(sound_patches(sound), plain)
    slow, fast = (log_mel.patches(played(sound.data, rate)) for rate in (0.9, 1.1))
    assert len(slow) > len(plain) > len(fast)
    assert torch.equal(sound_patches(sound, RATES), torch.cat([slow, plain, fast]))


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_one_window_is_heard_once_as_in_a_stream(rate):
    window = tone(log_mel.WINDOW_SECONDS, rate=rate)
    assert sound_patches(window, RATES).shape == (1, 96, 64)


def test_a_short_sound_is_repeated_not_padded():
    patches = sound_patches(tone(0.2), RATES)
    assert patches.shape == (3, 96, 64)
    # Digital silence would be log(0.001) in all bands of a frame.
    assert (patches.amax(-1) > -2).all()
