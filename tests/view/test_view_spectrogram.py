"""The scrolling spectrogram: the right band and column for what was heard, whole through gaps and rates."""

import numpy as np
import pytest

from imagebind_node.samples import AudioSample
from imagebind_node.view.spectrogram import BANDS, COLUMNS_PER_SECOND, RollingSpectrogram, decibels

SECOND = 1_000_000_000


def tone(hertz, seconds, rate=16000, start=0.0, level=0.5):
    times = np.arange(round(rate * seconds)) / rate
    data = (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return AudioSample(data, rate, round((10 + start) * SECOND))


def brightest_band(picture, column):
    return BANDS - 1 - int(picture[:, column].astype(int).sum(1).argmax())


def test_decibels_of_a_full_scale_tone_are_0():
    loudest = decibels(tone(1000, 0.2, level=1.0).data).max()
    assert loudest == pytest.approx(0.0, abs=1.5)


def test_a_higher_tone_is_higher_up():
    spectrogram = RollingSpectrogram(2.0)
    spectrogram.push(tone(300, 1.0))
    spectrogram.push(tone(3000, 1.0, start=1.0))
    picture = spectrogram.picture()
    low, high = brightest_band(picture, 25), brightest_band(picture, -25)
    # Mel scale from 60 to 7600 Hz in 64 bands: 300 Hz is band 7 or 8, 3000 Hz is 40 or 41.
    assert 7 <= low <= 9
    assert 40 <= high <= 42


def test_however_the_sound_is_cut_the_picture_is_the_same():
    whole, cut = RollingSpectrogram(1.0), RollingSpectrogram(1.0)
    sound = np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32)
    whole.push(AudioSample(sound, 16000, 10 * SECOND))
    for first in range(0, 16000, 320):
        cut.push(AudioSample(sound[first : first + 320], 16000, 10 * SECOND + first * SECOND // 16000))
    assert np.array_equal(whole.picture(), cut.picture())
    assert whole.end == cut.end == 11 * SECOND


def test_other_rates_and_channels_show_the_same_band():
    bands = []
    for rate in (16000, 44100, 48000):
        spectrogram = RollingSpectrogram(1.0)
        mono = tone(1000, 1.0, rate)
        spectrogram.push(AudioSample(np.stack([mono.data, mono.data], 1), rate, mono.stamp))
        bands.append(brightest_band(spectrogram.picture(), -10))
    assert max(bands) - min(bands) <= 1


def test_a_gap_is_silence_of_its_length():
    spectrogram = RollingSpectrogram(3.0)
    spectrogram.push(tone(1000, 1.0))
    spectrogram.push(tone(1000, 1.0, start=2.0))
    loudest = spectrogram.picture().max((0, 2))
    silent = int((loudest < loudest.max() / 2).sum())
    assert silent == pytest.approx(COLUMNS_PER_SECOND, abs=4)


def test_a_cue_is_marked_where_it_begins_once():
    spectrogram = RollingSpectrogram(4.0)
    spectrogram.push(tone(1000, 4.0))
    for tenth in range(10, 20):
        spectrogram.mark(10 * SECOND + tenth * SECOND // 10, "Dog")
    spectrogram.mark(12 * SECOND, "Cat")
    spectrogram.mark(round(13.5 * SECOND), "Cat")
    marks = spectrogram.marks()
    assert [label for _, label in marks] == ["Dog", "Cat", "Cat"]
    assert [column / COLUMNS_PER_SECOND for column, _ in marks] == pytest.approx([1.0, 2.0, 3.5])


def test_marks_scroll_away_and_go_when_the_clock_is_set_back():
    spectrogram = RollingSpectrogram(1.0)
    spectrogram.push(tone(1000, 1.0))
    spectrogram.mark(10 * SECOND + SECOND // 2, "Dog")
    assert len(spectrogram.marks()) == 1
    spectrogram.push(tone(1000, 1.0, start=1.0))
    assert spectrogram.marks() == []
    spectrogram.mark(12 * SECOND, "Cat")
    spectrogram.push(tone(1000, 1.0, start=-9.0))
    assert spectrogram.marks() == []
