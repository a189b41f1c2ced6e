"""The camera driver on network cameras: MJPEG over HTTP, and RTSP."""

import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from mjpeg_server import COUNT, MjpegServer

from imagebind_node.errors import DeviceError
from imagebind_node.sensors.camera import Camera, CameraConfig

PATIENCE = 60.0


def wait_for_state(camera, state):
    deadline = time.monotonic() + PATIENCE
    while camera.stats.state != state:
        assert time.monotonic() < deadline, camera.stats
        time.sleep(0.01)


@pytest.fixture
def mjpeg():
    server = MjpegServer()
    server.start()
    yield server
    server.stop()


@pytest.mark.timeout(300)
def test_mjpeg_over_http_gives_the_newest_picture(mjpeg):
    with Camera(CameraConfig(source=mjpeg.url, frame_id="eye")) as camera:
        first = camera.read_latest(PATIENCE)
        assert first.data.shape == (480, 640, 3) and first.frame_id == "eye"
        assert np.abs(first.data[..., [0, 2]].reshape(-1, 2).mean(0) - (240, 10)).max() < 6
        time.sleep(2.0)
        sent, before = mjpeg.number, time.time_ns()
        newest = camera.read_latest(PATIENCE)
        # What was not read for two seconds is gone: 30 pictures would be behind, a few are on their way.
        behind = (sent - mjpeg.number_of(newest.data)) % COUNT
        assert min(behind, COUNT - behind) <= 10
        assert abs(newest.stamp - before) < 1e9


@pytest.mark.timeout(300)
def test_mjpeg_that_hangs_up_comes_back(mjpeg):
    with Camera(CameraConfig(source=mjpeg.url)) as camera:
        camera.read_latest(PATIENCE)
        mjpeg.stop()
        wait_for_state(camera, "lost")
        with pytest.raises(DeviceError, match="127.0.0.1"):
            camera.read_latest(0.05)
        mjpeg.start()
        wait_for_state(camera, "streaming")
        assert camera.read_latest(PATIENCE).data.shape == (480, 640, 3)
        assert camera.stats.opened >= 2


@pytest.mark.timeout(300)
def test_mjpeg_that_falls_silent_is_given_up_and_comes_back(mjpeg):
    with Camera(CameraConfig(source=mjpeg.url)) as camera:
        camera.read_latest(PATIENCE)
        mjpeg.stalled.set()
        # The read gives up after 3 s; the next attempt to open then waits for its first picture.
        wait_for_state(camera, "lost")
        mjpeg.stalled.clear()
        wait_for_state(camera, "streaming")
        assert camera.read_latest(PATIENCE).data.shape == (480, 640, 3)


ELEMENTS = ["videotestsrc", "x264enc", "rtph264pay"]
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDED = "gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst"
CHECK = f"import gi; {NEEDED}; Gst.init(None); assert all(map(Gst.ElementFactory.find, {ELEMENTS}))"


class RtspServer:
    """The camera of rtsp_server.py in a process of its own."""

    def __init__(self):
        self.port, self.process = "0", None

    def start(self):
        command = [SYSTEM_PYTHON, str(RTSP_SERVER), self.port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server ended"
        self.port = str(urlsplit(self.url).port)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None


@pytest.fixture
def rtsp():
    if subprocess.run([SYSTEM_PYTHON, "-c", CHECK], capture_output=True, check=False).returncode:
        pytest.skip("no RTSP server: scripts/system_packages.sh names the packages")
    server = RtspServer()
    server.start()
    yield server
    server.stop()


@pytest.mark.timeout(300)
def test_rtsp_is_stamped_by_the_camera_and_comes_back(rtsp):
    with Camera(CameraConfig(source=rtsp.url, frame_id="eye")) as camera:
        stamps = []
        while len(stamps) < 50:
            sample = camera.read_latest(PATIENCE)
            stamps.append(sample.stamp)
            assert sample.data.shape == (240, 320, 3) and sample.frame_id == "eye"
            assert -1e7 < time.time_ns() - sample.stamp < PATIENCE * 1e9
        assert sample.data.max() > 200, "a white ball on black"
        # Pictures are taken every 1/15 s, whenever the network and this machine handed them over. The first ones had
        # been waiting for OpenCV to open the stream.
        periods = np.diff(stamps[-20:]) * 1e-9 * 15
        assert np.median(np.abs(periods - periods.round())) < 0.02
        rtsp.stop()
        wait_for_state(camera, "lost")
        rtsp.start()
        wait_for_state(camera, "streaming")
        assert camera.read_latest(PATIENCE).data.shape == (240, 320, 3)
