"""What people get wrong: one line that says what and how to mend it, exit status 2, nothing on stdout."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def truncated_jpeg(path, dog_photo):
    path.write_bytes(dog_photo.read_bytes()[:2000])


def nan_sound(path, dog_photo):
    sound = np.zeros(16000, np.float32)
    sound[100] = np.nan
    soundfile.write(path, sound, 16000, subtype="FLOAT")


FILES = {
    "empty.jpg": (lambda path, _: path.write_bytes(b""), "is empty"),
    "truncated.jpg": (truncated_jpeg, "truncated.jpg"),
    "words.jpg": (lambda path, _: path.write_text("no picture at all"), "words.jpg"),
    "zero.png": (lambda path, _: path.write_bytes(png(0, 10)), "zero.png"),
    "vast.png": (lambda path, _: path.write_bytes(png(200000, 200000)), "vast.png"),
    "empty.wav": (lambda path, _: path.write_bytes(b""), "is empty"),
    "header_only.wav": (
        lambda path, _: soundfile.write(path, np.zeros(0, np.float32), 16000),
        "header_only.wav",
    ),
    "words.wav": (lambda path, _: path.write_text("no sound at all"), "words.wav"),
    "nan.wav": (nan_sound, "NaN"),
    "unknown.xyz": (lambda path, _: path.write_bytes(b"\1\2\3\4" * 10), "does not tell"),
    "folder.jpg": (lambda path, _: path.mkdir(), "folder"),
}


@pytest.mark.parametrize("name", FILES)
def test_unreadable_files(refused, tmp_path, dog_photo, name):
    make, reason = FILES[name]
    path = tmp_path / name
    make(path, dog_photo)
    assert reason in refused("embed", path)


def test_the_view_opens_only_its_recordings(refused, dog_photo):
    assert "is not a recording of the view" in refused("view", dog_photo)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["embed"], "INPUT"),
        (["embed", "nowhere.jpg"], "not a file"),
        (["embed", "text:"], "text is empty"),
        (["embed", "text:half a \udcff"], "lone surrogate"),
        (["embed", "smell:rose"], "not a file"),
        (["view", "--bind", "robot"], "not an IP address"),
        (["view", "nowhere.rrd"], "cannot read nowhere.rrd"),
        (["embed", "text:dog", "--model", "nonsense"], "concept"),
        (["embed", "text:dog", "--precision", "fp4"], "fp32"),
        (["embed", "text:dog", "--config", "c.json"], "--checkpoint"),
        (["embed", "--threads", "0", "text:dog"], "above 0"),
        (["classify", "text:dog", "--labels", " , "], "no labels"),
        (["classify", "text:dog", "--labels", "a,a"], "twice"),
        (["classify", "text:dog", "--labels", "a", "--prompt", "photo"], "{}"),
        (["classify", "text:dog", "--labels", "a", "--temperature", "-1"], "above 0"),
        (["classify", "text:dog"], "--labels"),
        (["detect", "--image", "nowhere.jpg", "--query", "text:dog"], "nowhere.jpg"),
        (["detect", "--query", "text:dog"], "--image"),
        (["retrieve", "text:dog", "--among", "nowhere"], "nowhere"),
        (["evaluate", "retrieval", "nowhere"], "nowhere"),
        (["nonsense"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_bad_arguments(refused, arguments, reason):
    assert reason in refused(*arguments)


def test_no_gpu(refused):
    import torch

    if not torch.cuda.is_available():
        assert "CUDA" in refused("embed", "text:dog", "--device", "cuda")


def test_a_query_of_another_space_is_refused_by_name(cli, refused, tmp_path, dog_photo):
    document = cli("embed", "text:dog", "--json").document
    document["embeddings"][0]["space"] = "elsewhere"
    path = tmp_path / "elsewhere.json"
    path.write_text(json.dumps(document))
    line = refused("detect", "--image", dog_photo, "--query", f"embedding:{path}")
    assert "'elsewhere'" in line
    assert "'concept-" in line


def test_labels_of_queries_must_fit(refused, dog_photo):
    detect = ["detect", "--image", dog_photo]
    assert "--label" in refused(*detect, "--query", "text:dog", "--label", "a", "--label", "b")
    assert "dog" in refused(*detect, "--query", "text:dog", "--query", "text:dog")


def test_a_place_that_cannot_be_written_to(refused, dog_photo, tmp_path):
    out = tmp_path / "missing" / "out.png"
    assert "cannot write" in refused("detect", "--image", dog_photo, "--query", "text:dog", "--out", out)
    assert ".png" in refused(
        "detect", "--image", dog_photo, "--query", "text:dog", "--out", tmp_path / "out.txt"
    )


def test_model_inputs_of_the_wrong_shape(refused, tmp_path):
    path = tmp_path / "inputs.npz"
    np.savez(path, vision=np.zeros((1, 5), np.float32))
    assert "(1, 5)" in refused("embed", "--npz", path)
    np.savez(path, smell=np.zeros((1, 5), np.float32))
    assert "smell" in refused("embed", "--npz", path)


@pytest.mark.parametrize("size", [(1, 1), (1, 10000), (10000, 1), (10000, 40), (3, 5000)])
def test_odd_pictures_are_still_embedded(cli, tmp_path, size):
    path = tmp_path / "odd.png"
    Image.new("RGB", size, (90, 120, 60)).save(path)
    embedding = cli("embed", path, "--json").document["embeddings"][0]
    assert len(embedding["vector"]) in (0, embedding["dim"])
    assert np.isfinite(embedding["confidence"])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK", "1"])
def test_other_colours_are_still_embedded(cli, tmp_path, mode):
    path = tmp_path / ("odd.tif" if mode == "CMYK" else "odd.png")
    Image.new(mode, (64, 48)).save(path)
    assert cli("embed", path).status == 0


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 2), (48000, 6), (96000, 1)])
def test_other_rates_and_channels_mean_the_same(cli, tmp_path, bark, rate, channels):
    from imagebind_node.preprocessing.audio_signal import resample

    sound, original = soundfile.read(bark, dtype="float32")
    path = tmp_path / "converted.wav"
    soundfile.write(path, np.tile(resample(sound, original, rate)[:, None], (1, channels)), rate)
    matrix = cli("similarity", path, "--with", bark, "--json").document["cosine"]
    assert matrix[0][0] > (0.95 if rate >= 16000 else 0.5)


def test_clipped_sound_is_still_embedded(cli, tmp_path, bark):
    sound, rate = soundfile.read(bark, dtype="float32")
    path = tmp_path / "clipped.wav"
    soundfile.write(path, np.clip(10 * sound, -1, 1), rate)
    assert not cli("embed", path, "--json").document["embeddings"][0]["abstained"]


def test_silence_abstains_and_finds_nothing(cli, silence, dog_photo):
    assert cli("embed", silence, "--json").document["embeddings"][0]["abstained"]
    found = cli("detect", "--image", dog_photo, "--query", silence, "--json")
    assert found.status == 0
    assert found.document["queries"][0]["abstained"]
    assert found.document["detections"] == []
    assert "abstained" in cli("detect", "--image", dog_photo, "--query", silence).out
