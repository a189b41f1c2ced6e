"""The RealSense driver on the real SDK: its software device, recorded and played back."""

import contextlib
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.realsense import RealSense, RealSenseConfig

rs = pytest.importorskip("pyrealsense2", reason="needs the extra realsense")
import software_realsense as software  # noqa: E402

PATIENCE = 40.0
# Recorded with SDK 2.55, which still wrote ROS 1 bags; newer ones write SQLite.
BAG = Path(__file__).parents[1] / "data" / "realsense" / "software_device.bag"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Three seconds of the software device, recorded by the SDK that is installed."""
    path = tmp_path_factory.mktemp("realsense") / "camera.db3"
    subprocess.run([sys.executable, software.__file__, str(path), "3"], check=True, timeout=120)
    return path


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def play(path):
    """All frames and readings of a recording."""
    frames, readings = [], []
    with RealSense(RealSenseConfig(file=str(path))) as camera:
        started = time.time_ns()
        while camera.stats.state != "ended":
            with contextlib.suppress(DeviceError):
                frames.append(camera.read_latest(0.5))
        with contextlib.suppress(DeviceError):
            while True:
                readings.append(camera.read_imu(0.1))
        return frames, readings, camera.stats, started


@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["sqlite", "bag"])
def test_plays_a_recording_with_depth_aligned_to_colour(source, request):
    path = BAG if source == "bag" else request.getfixturevalue("recording")
    frames, readings, stats, started = play(path)
    assert stats.received >= 15
    frame = frames[-1]
    assert frame.colour.data.shape == (software.HEIGHT, software.WIDTH, 3)
    assert frame.depth.data.shape == (software.HEIGHT, software.WIDTH)
    red = (frame.colour.data == software.RED).all(-1)
    near = np.abs(frame.depth.data - software.BOX) < 0.01
    unaligned = np.zeros_like(red)
    unaligned[software.box_pixels(software.DEPTH_FOCAL, 0.0)] = True
    assert (red & near).sum() / (red | near).sum() > 0.9, "the box in depth is where it is in colour"
    assert (red & unaligned).sum() / (red | unaligned).sum() < 0.6, "which alignment did"
    assert np.nanmax(frame.depth.data) == pytest.approx(software.WALL)
    assert (frame.camera.fx, frame.camera.cx) == (software.COLOUR_FOCAL, software.WIDTH / 2)
    assert frame.camera.baseline_m == pytest.approx(software.BASELINE_MM / 1e3)
    assert (frame.depth.focal_px, frame.depth.baseline_m) == (frame.camera.fx, frame.camera.baseline_m)
    stamps = np.array([frame.stamp for frame in frames])
    assert stamps[0] >= started - 1e9
    # The camera's clock gives the intervals, whatever the machine did while they were played.
    steps = np.diff(stamps) / 1e9 * software.FPS
    assert np.median(np.abs(steps - np.rint(steps))) < 0.02
    check_motion(readings)


def check_motion(readings):
    assert len(readings) > 200
    assert all(one.stamp < two.stamp for one, two in pairwise(readings))
    seconds = np.array([reading.stamp for reading in readings]) / 1e9
    ramp = np.array([reading.acceleration[0] for reading in readings])
    # Acceleration was measured at 100 Hz and grows by 1 m/s^2 each second: at the stamps between, it is interpolated.
    # A busy machine may lose some.
    assert (np.abs(np.diff(ramp) - np.diff(seconds)) < 5e-4).mean() > 0.9
    assert np.polyfit(seconds - seconds[0], ramp, 1)[0] == pytest.approx(1.0, abs=0.05)
    assert {reading.turn_rate for reading in readings} == {(0.0, float(np.float32(0.1)), 0.0)}
    assert readings[-1].acceleration[1] == pytest.approx(-9.81, abs=1e-4)


@pytest.mark.timeout(300)
def test_a_camera_that_falls_silent_is_opened_again(recording):
    context = rs.context()
    config = RealSenseConfig(serial=software.SERIAL, width=0, height=0, fps=0)
    with RealSense(config, context=context) as camera:
        wait_for(lambda: camera.stats.state == "lost", "no camera yet")
        assert "no RealSense camera is connected" in camera.stats.last_error
        device = context.load_device(str(recording))
        before = camera.read_latest(PATIENCE)
        # Its frames end, as those of a camera that hangs or is unplugged do.
        wait_for(lambda: camera.stats.state == "lost", "the loss")
        assert "stopped delivering pictures" in camera.stats.last_error
        del device
        context.unload_device(str(recording))
        device = context.load_device(str(recording))
        wait_for(lambda: camera.stats.opened >= 2 and camera.stats.state == "streaming", "its return")
        after = camera.read_latest(PATIENCE)
        assert after.stamp > before.stamp
        del device


@pytest.mark.timeout(300)
def test_loops(recording):
    with RealSense(RealSenseConfig(file=str(BAG), loop=True)) as camera:
        stamps = []
        while len(stamps) < 45:
            stamps.append(camera.read_latest(PATIENCE).stamp)
        assert stamps == sorted(set(stamps))


def test_the_wrong_serial_names_the_right_one(recording):
    context = rs.context()
    device = context.load_device(str(recording))
    with RealSense(RealSenseConfig(serial="123"), context=context) as camera:
        wait_for(lambda: camera.stats.state == "lost", "an error")
        with pytest.raises(DeviceError, match=f"no RealSense 123 is connected, but {software.SERIAL}"):
            camera.read_latest(0.05)
    del device


@pytest.mark.parametrize("content", [None, b"", b"#ROSBAG V2.0\nnot really"])
def test_a_file_that_is_no_recording(tmp_path, content):
    path = tmp_path / "broken.bag"
    if content is not None:
        path.write_bytes(content)
    with RealSense(RealSenseConfig(file=str(path))) as camera:
        wait_for(lambda: camera.stats.state == "lost", "an error")
        assert "broken.bag" in camera.stats.last_error


@pytest.mark.parametrize(
    "wrong", [{"width": -1}, {"baseline": -0.1}, {"serial": "1", "file": "2.bag"}], ids=str
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InvalidInputError, match="RealSense"):
        RealSense(RealSenseConfig(**wrong))
