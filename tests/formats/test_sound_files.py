"""Sound files of every format, width and state of damage."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from refusals import one_line, refusal

from imagebind_node.errors import InvalidInputError
from imagebind_node.files import (
    read_audio,
)
from imagebind_node.formats import sound


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_sound_formats(tmp_path, suffix):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / f"a.{suffix}", tone, 44100)
    sample = read_audio(tmp_path / f"a.{suffix}")
    assert (sample.sample_rate, sample.data.dtype, sample.data.ndim) == (44100, np.float32, 1)
    spectrum = np.abs(np.fft.rfft(sample.data))
    assert abs(np.argmax(spectrum) * 44100 / len(sample.data) - 440) < 2
    assert abs(np.abs(sample.data[1000:-2000]).max() - 0.5) < 0.05


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_pcm_is_scaled(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", np.array([[0.5, -0.5], [0.25, 0.0]]), 8000, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav").data, [[0.5, -0.5], [0.25, 0.0]], atol=1 / 128)


def test_sound_with_nan_without_samples_and_too_long(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "long.wav", np.zeros(5000), 8000)
    monkeypatch.setattr(sound, "MAX_VALUES", 4000)
    for name, word in [("nan", "NaN"), ("none", "0 samples"), ("long", "too long")]:
        with pytest.raises(InvalidInputError) as caught:
            read_audio(tmp_path / f"{name}.wav")
        one_line(caught, f"{name}.wav", word)


def test_header_that_claims_endless_sound_is_bounded(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = b"\xf0\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    message = refusal(read_audio, tmp_path / "a.wav")
    if message is None:
        assert len(read_audio(tmp_path / "a.wav").data) <= 200
    else:
        assert "a.wav" in message


def test_headerless_sound_is_not_guessed(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"\0\1" * 500)
    with pytest.raises(InvalidInputError) as caught:
        read_audio(tmp_path / "a.raw")
    one_line(caught, "a.raw")
