"""The camera driver on files, image sequences and things that are no camera."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.camera import Camera, CameraConfig

PATIENCE = 40.0
COLOURS = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10)]


def picture(index):
    return np.full((48, 64, 3), COLOURS[index % len(COLOURS)], np.uint8)


@pytest.fixture
def video(tmp_path):
    """20 frames of 64x48 in four colours, 20 frames a second."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    assert writer.isOpened()
    for index in range(20):
        writer.write(cv2.cvtColor(picture(index // 5), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def wait_for_state(camera, state):
    deadline = time.monotonic() + PATIENCE
    while camera.stats.state != state:
        assert time.monotonic() < deadline, camera.stats
        time.sleep(0.01)


def test_plays_a_file_at_its_own_pace_in_rgb_and_ends(video):
    started = time.monotonic()
    samples = []
    with Camera(CameraConfig(source=str(video), frame_id="eye")) as camera:
        first = camera.read_latest(PATIENCE)
        while camera.stats.state != "ended":
            with contextlib.suppress(DeviceError):
                samples.append(camera.read_latest(0.2))
        assert camera.stats.received == 20
    assert time.monotonic() - started >= 19 / 20 * 0.95, "faster than its frame rate"
    assert first.data.shape == (48, 64, 3)
    assert np.abs(first.data.reshape(-1, 3).mean(0) - COLOURS[0]).max() < 25
    assert np.abs(samples[-1].data.reshape(-1, 3).mean(0) - COLOURS[3]).max() < 25
    assert first.frame_id == "eye"
    stamps = [first.stamp, *(sample.stamp for sample in samples)]
    assert stamps == sorted(set(stamps))


def test_loops(video):
    with Camera(CameraConfig(source=str(video), loop=True, fps=200.0)) as camera:
        deadline = time.monotonic() + PATIENCE
        while camera.stats.received < 50:
            assert time.monotonic() < deadline
            camera.read_latest(PATIENCE)


def test_image_sequence(tmp_path):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), cv2.cvtColor(picture(index), cv2.COLOR_RGB2BGR))
    with Camera(CameraConfig(source=str(tmp_path / "%03d.png"), fps=20.0)) as camera:
        assert tuple(camera.read_latest(PATIENCE).data[0, 0]) == COLOURS[0]
        wait_for_state(camera, "ended")
        assert camera.stats.received == 4


def test_read_latest_skips_what_is_old(video):
    with Camera(CameraConfig(source=str(video), loop=True)) as camera:
        camera.read_latest(PATIENCE)
        received = camera.stats.received
        deadline = time.monotonic() + PATIENCE
        while camera.stats.received < received + 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        age = (time.time_ns() - camera.read_latest(PATIENCE).stamp) / 1e9
        # Five frames of 50 ms went by unread: a queue would have handed out the oldest.
        assert age < 0.2


@pytest.mark.parametrize("source", ["/nowhere/video.mp4", "63", "/dev/null"])
def test_a_missing_camera_is_named_and_tried_again(source):
    with Camera(CameraConfig(source=source)) as camera:
        wait_for_state(camera, "lost")
        with pytest.raises(DeviceError, match="delivers no picture") as error:
            camera.read_latest(0.05)
        assert source in str(error.value)


def test_comes_back_when_the_source_appears(tmp_path, video):
    late = tmp_path / "late.avi"
    with Camera(CameraConfig(source=str(late))) as camera:
        wait_for_state(camera, "lost")
        late.write_bytes(video.read_bytes())
        assert camera.read_latest(PATIENCE).data.shape == (48, 64, 3)


@pytest.mark.parametrize("content", [b"", b"not a video at all", b"RIFF\x00\x00\x00\x00AVI LIST"])
def test_a_file_that_is_no_video(tmp_path, content):
    path = tmp_path / "broken.avi"
    path.write_bytes(content)
    with Camera(CameraConfig(source=str(path))) as camera:
        wait_for_state(camera, "lost")
        assert str(path) in camera.stats.last_error


def test_empty_source_is_refused():
    with pytest.raises(InvalidInputError, match="camera source is empty"):
        Camera(CameraConfig(source="  "))


def test_drivers_do_not_import_torch_or_rclpy():
    code = (
        "import sys, imagebind_node.sensors.camera, imagebind_node.sensors.microphone, "
        "imagebind_node.sensors.replay; print([m for m in ('torch', 'rclpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert result.stdout.strip() == "[]"
