"""What is no regular file, and bytes that nobody meant to be read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import one_line, refusal

from imagebind_node.errors import InvalidInputError
from imagebind_node.files import (
    read_audio,
    read_depth,
    read_image,
    read_imu,
    read_text,
    read_thermal,
    read_video,
)

TABLE = np.column_stack([np.arange(4) / 100, np.arange(24).reshape(4, 6)]).astype(np.float64)


READERS = [read_image, read_video, read_audio, read_depth, read_thermal, read_imu, read_text]


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file(tmp_path, reader):
    fifo, loop, dangling, empty = (tmp_path / name for name in ("fifo", "loop", "dangling", "empty.wav"))
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nowhere")
    empty.touch()
    for path, word in [
        (fifo, "pipe"),
        (loop, "loop"),
        (dangling, "link"),
        (tmp_path, "folder"),
        (empty, "empty"),
        (tmp_path / "missing", "no such file"),
        (Path("/dev/zero"), "device"),
        (Path("/proc/self/status"), "empty"),
        (tmp_path / ("x" * 300), "cannot be looked at"),
        ("a\0b", "cannot be looked at"),
    ]:
        with pytest.raises(InvalidInputError) as caught:
            reader(path)
        one_line(caught, word)


def test_symlinks_are_followed_and_line_breaks_in_names_do_not_break_messages(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert read_image(tmp_path / "link.png").data.shape == (2, 2, 3)
    odd = tmp_path / "two\nlines.png"
    odd.write_bytes(b"nothing")
    with pytest.raises(InvalidInputError) as caught:
        read_image(odd)
    one_line(caught, "two\\nlines.png")


def test_too_large_file_is_refused_unread(tmp_path):
    huge = tmp_path / "huge.png"
    with huge.open("wb") as stream:
        stream.truncate(10 << 40)
    for reader in READERS:
        with pytest.raises(InvalidInputError) as caught:
            reader(huge)
        one_line(caught, "too large")


def _wav() -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(64), 8000, format="WAV")
    return stream.getvalue()


def _picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(stream, kind)
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones((3, 3)))
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, data=TABLE[:, 1:], times=TABLE[:, 0])
    return stream.getvalue()


SEEDS = [b"", _wav(), _npy(), _npz(), b"t,ax,ay,az,gx,gy,gz\n0,1,2,3,4,5,6\n1,1,2,3,4,5,6\n"]
SEEDS += [_picture(kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")]
SUFFIXES = [".png", ".jpg", ".wav", ".mp3", ".raw", ".npy", ".npz", ".csv", ".tiff", ".txt", ".mp4", ""]


@st.composite
def damaged(draw):
    """A valid file with bytes replaced, cut or appended; or only random bytes."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    return bytes(data) + draw(st.binary(max_size=40))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged(), suffix=st.sampled_from(SUFFIXES))
@pytest.mark.parametrize("reader", READERS)
def test_readers_raise_nothing_else(tmp_path, reader, data, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    message = refusal(reader, path)
    if message is not None:
        assert path.name in message
        assert len(message.splitlines()) == 1
        assert len(message) < 800
