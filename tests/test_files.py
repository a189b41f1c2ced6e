"""Files, arrays and command line words become samples, or one clear line says why not."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.files import (
    as_sample,
    parse_input,
    read_sample,
)
from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Modality,
    TextSample,
    ThermalSample,
    VideoSample,
)


def one_line(excinfo: pytest.ExceptionInfo, *words: str) -> str:
    message = str(excinfo.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


@pytest.fixture
def rng():
    return np.random.default_rng(7)


TABLE = np.column_stack([np.arange(4) / 100, np.arange(24).reshape(4, 6)]).astype(np.float64)


@pytest.fixture
def clip(tmp_path):
    """3.5 s at 10 Hz; frame i has grey 7 i."""
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for i in range(35):
        writer.write(np.full((48, 64, 3), 7 * i, np.uint8))
    writer.release()
    return path


def test_reading_needs_no_torch():
    code = "import sys, imagebind_node.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_parse_input(tmp_path, clip, rng):
    Image.fromarray(np.full((4, 5), 900, np.uint16)).save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    np.save(tmp_path / "imu.npy", TABLE)
    (tmp_path / "words.txt").write_text("a crane\n", encoding="utf-8")
    (tmp_path / "unnamed").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "audio:odd.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    for text, modality, kind in [
        (f"{tmp_path}/a.png", Modality.VISION, ImageSample),
        (f"image:{tmp_path}/a.png", Modality.VISION, ImageSample),
        (f"depth:{tmp_path}/a.png", Modality.DEPTH, DepthSample),
        (f"Thermal:{tmp_path}/a.png", Modality.THERMAL, ThermalSample),
        (f"{tmp_path}/a.wav", Modality.AUDIO, AudioSample),
        (f"sound:{tmp_path}/a.wav", Modality.AUDIO, AudioSample),
        (f"{tmp_path}/audio:odd.wav", Modality.AUDIO, AudioSample),
        (f"{clip}", Modality.VISION, VideoSample),
        (f"video:{clip}", Modality.VISION, VideoSample),
        (f"vision:{clip}", Modality.VISION, VideoSample),
        (f"imu:{tmp_path}/imu.npy", Modality.IMU, ImuSample),
        (f"{tmp_path}/words.txt", Modality.TEXT, TextSample),
        (f"{tmp_path}/unnamed", Modality.VISION, ImageSample),
        ("text: a dog: barking", Modality.TEXT, TextSample),
    ]:
        found, sample = parse_input(text)
        assert (found, type(sample)) == (modality, kind), text
    assert parse_input("text: a dog: barking")[1].data == "a dog: barking"
    assert parse_input(f"{tmp_path}/words.txt")[1].data == "a crane"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a dog", "text:a dog"),
        ("smell:rose", "text:smell:rose"),
        ("", "empty"),
        ("  ", "empty"),
        ("text:  ", "text is empty"),
        ("audio:", "names no file"),
        ("audio:/nowhere.wav", "no such file"),
        ("/nowhere.wav", "not a file"),
        ("\0", "not a file"),
        ("x" * 9999, "not a file"),
    ],
)
def test_parse_input_refuses(text, word):
    with pytest.raises(InvalidInputError) as caught:
        parse_input(text)
    assert len(one_line(caught, word)) < 500


def test_file_type_that_does_not_tell(tmp_path):
    np.save(tmp_path / "a.npy", TABLE)
    (tmp_path / "a.bin").write_bytes(b"whatever")
    for name in ("a.npy", "a.bin"):
        with pytest.raises(InvalidInputError) as caught:
            read_sample(tmp_path / name)
        one_line(caught, name, "depth:PATH")


def test_as_sample_arrays(rng):
    colour = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    assert as_sample(colour, "vision").data is colour
    assert as_sample(colour[..., 0], "vision").data.shape == (4, 5, 3)
    assert as_sample(colour[..., :1], "vision").data.shape == (4, 5, 3)
    assert as_sample(np.zeros((4, 5, 4), np.uint8), "vision").data.min() == 255
    assert as_sample(Image.fromarray(colour), "vision").data.shape == (4, 5, 3)
    assert np.isnan(as_sample(np.array([[0, 1200]], np.uint16), "depth").data[0, 0])
    assert as_sample(np.ones((2, 2), np.float64), "depth").data.dtype == np.float32
    assert as_sample(np.ones((2, 2, 1), np.uint16), "thermal").data.shape == (2, 2)
    assert as_sample((np.array([0, 16384], np.int16), 8000), "audio").data.tolist() == [0.0, 0.5]
    assert as_sample((np.array([128, 192], np.uint8), 8000), "audio").data.tolist() == [0.0, 0.5]
    assert as_sample((TABLE[:, 1:], TABLE[:, 0]), "imu").data.shape == (4, 6)
    assert as_sample(TABLE, "imu").times.tolist() == TABLE[:, 0].tolist()
    assert as_sample("a dog", "text").data == "a dog"
    sample = TextSample("kept")
    assert as_sample(sample, "text") is sample


@pytest.mark.parametrize(
    ("value", "modality"),
    [
        (np.zeros((4, 5, 3), np.float32), "vision"),
        (np.zeros((2, 4, 5, 3), np.uint8), "vision"),
        (np.zeros((0, 5, 3), np.uint8), "vision"),
        (np.zeros((4, 5), np.complex64), "depth"),
        (np.array([["x"]]), "depth"),
        (np.zeros(100, np.float32), "audio"),
        ((8000, np.zeros(100, np.float32)), "audio"),
        ((np.zeros(100, np.float32), "8000"), "audio"),
        ((np.zeros(100, np.float32), float("nan")), "audio"),
        ((np.full(4, np.nan, np.float32), 8000), "audio"),
        (np.zeros((4, 6)), "imu"),
        ((np.zeros((4, 6)), ["a", "b", "c", "d"]), "imu"),
        (7, "text"),
        (None, "vision"),
        (TextSample("a dog"), "vision"),
        (b"bytes", "audio"),
        ("a dog", "smell"),
    ],
)
def test_as_sample_refuses(value, modality):
    with pytest.raises(InvalidInputError) as caught:
        as_sample(value, modality)
    one_line(caught)


def test_an_embedding_is_no_sample():
    vector = np.array([1.0, 0.0], np.float32)
    embedding = Embedding(vector=vector, modality=Modality.VISION, space=Space("test", 2))
    with pytest.raises(InvalidInputError):
        as_sample(embedding, "vision")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40))
def test_parse_input_raises_nothing_else(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    try:
        parse_input(text)
    except InvalidInputError as error:
        message = str(error)
    else:
        return
    assert len(message.splitlines()) == 1
