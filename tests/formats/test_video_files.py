"""Video files: frames, times, and bounds on both."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import soundfile
from refusals import one_line

from imagebind_node.errors import InvalidInputError
from imagebind_node.files import (
    read_video,
)
from imagebind_node.formats import movie


@pytest.fixture
def clip(tmp_path):
    """3.5 s at 10 Hz; frame i has grey 7 i."""
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for i in range(35):
        writer.write(np.full((48, 64, 3), 7 * i, np.uint8))
    writer.release()
    return path


def test_video_frames_and_times(clip):
    video = read_video(clip)
    assert video.data.shape == (35, 48, 64, 3)
    np.testing.assert_allclose(video.times, np.arange(35) / 10, atol=1e-3)
    assert np.abs(video.data.mean(axis=(1, 2, 3)) - 7 * np.arange(35)).max() < 6


def test_long_video_is_thinned_evenly(clip, monkeypatch):
    monkeypatch.setattr(movie, "KEPT_FRAMES", 16)
    video = read_video(clip)
    assert 8 <= len(video.data) <= 16
    np.testing.assert_allclose(np.diff(video.times), 0.4, atol=1e-3)
    assert video.times[-1] > 3.0
    monkeypatch.setattr(movie, "MAX_SECONDS", 2.0)
    with pytest.raises(InvalidInputError) as caught:
        read_video(clip)
    one_line(caught, "longer than 2 s")


def test_what_is_no_video(tmp_path, clip, capfd):
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes()[:200])
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    for name in ("a.mp4", "a.wav"):
        with pytest.raises(InvalidInputError) as caught:
            read_video(tmp_path / name)
        one_line(caught, name)
    assert "ERROR" not in capfd.readouterr().err
