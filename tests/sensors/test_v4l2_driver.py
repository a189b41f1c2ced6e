"""Camera and thermal driver on a V4L2 device, through OpenCV's own V4L2 code.

The device itself is test equipment (v4l2_camera.c), since containers have no kernel driver that could stand in for one.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PATIENCE = 60.0
WIDTH, HEIGHT, TELEMETRY = 80, 60, 2
# Y, U, Y, V of an orange, and what ITU-R BT.601 makes of it.
ORANGE, ORANGE_RGB = (150, 60, 150, 190), (255, 132, 19)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="needs Linux and gcc"
)


def counts(index):
    """Frame of a radiometric camera: centikelvin around 20 degrees and two rows of telemetry."""
    y, x = np.mgrid[: HEIGHT + TELEMETRY, :WIDTH]
    picture = (29315 + 10 * x + 20 * y + 1000 * index).astype("<u2")
    picture[HEIGHT:] = 0xBEEF
    return picture


class Device:
    """The camera, and a process that reads it."""

    def __init__(self, folder, library):
        self.folder, self.library = folder, library
        # Where any user may make what looks like a device file.
        self.path = Path(f"/dev/shm/v4l2_camera_{os.getpid()}")
        self.process = None
        self.plug_in()

    def plug_in(self):
        self.path.write_text("")

    def stall(self):
        self.path.write_text("s")

    def unplug(self):
        self.path.unlink()

    def read(self, kind, frames, pixel_format, height, delay_ms=0, **settings):
        (self.folder / "frames").write_bytes(frames)
        environment = {
            "LD_PRELOAD": str(self.library),
            "V4L2_CAMERA_PATH": str(self.path),
            "V4L2_CAMERA_FORMAT": pixel_format,
            "V4L2_CAMERA_WIDTH": str(WIDTH),
            "V4L2_CAMERA_HEIGHT": str(height),
            "V4L2_CAMERA_FRAMES": str(self.folder / "frames"),
            "V4L2_CAMERA_DELAY_MS": str(delay_ms),
        }
        settings = json.dumps({"source": str(self.path), **settings})
        command = [sys.executable, str(HERE / "v4l2_reader.py"), kind, settings]
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]
        )

    def next(self):
        line = self.process.stdout.readline()
        assert line, "the reader ended"
        return json.loads(line)

    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition(line := self.next()):
            assert time.monotonic() < deadline, f"{what}: {line}"
        return line

    def picture(self):
        line = self.wait_for(lambda line: "data" in line, "a picture")
        data = np.frombuffer(base64.b64decode(line["data"]), line["dtype"]).reshape(line["shape"])
        return line, data

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    built = tmp_path_factory.mktemp("v4l2") / "v4l2_camera.so"
    command = ["gcc", "-Wall", "-shared", "-fPIC", "-o", str(built), str(HERE / "v4l2_camera.c"), "-ldl"]
    subprocess.run(command, check=True)
    return built


@pytest.fixture
def device(tmp_path, library):
    made = Device(tmp_path, library)
    yield made
    made.close()


def orange():
    return bytes(ORANGE) * (WIDTH * HEIGHT // 2)


@pytest.mark.timeout(300)
def test_a_colour_camera_is_stamped_by_the_kernel(device):
    device.read("camera", orange(), "YUYV", HEIGHT, delay_ms=200, frame_id="eye")
    stamps = []
    for _ in range(30):
        line, data = device.picture()
        stamps.append(line["stamp"])
        assert line["age"] > 0.2, "the stamp is the moment of exposure, not that of the hand-over"
    assert data.dtype == np.uint8 and data.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(data.reshape(-1, 3).mean(0) - ORANGE_RGB).max() < 4
    # Frames are exposed every 1/30 s; some may have been skipped.
    periods = np.diff(stamps) * 1e-9 * 30
    assert np.median(np.abs(periods - periods.round())) < 0.1
    assert (periods > 0.5).all()


@pytest.mark.timeout(300)
def test_a_camera_that_was_unplugged_comes_back(device):
    device.read("camera", orange(), "YUYV", HEIGHT)
    device.picture()
    device.unplug()
    lost = device.wait_for(lambda line: line["state"] == "lost" and "error" in line, "the loss")
    assert "delivers no picture (lost)" in lost["error"] and str(device.path) in lost["error"]
    device.plug_in()
    line, _ = device.picture()
    assert line["state"] == "streaming" and line["opened"] >= 2


@pytest.mark.timeout(300)
def test_a_camera_that_stalls_is_noticed_and_goes_on(device):
    device.read("camera", orange(), "YUYV", HEIGHT)
    before, _ = device.picture()
    device.stall()
    device.wait_for(lambda line: "delivers no picture" in line.get("error", ""), "silence")
    device.plug_in()
    after, _ = device.picture()
    assert after["stamp"] > before["stamp"]


@pytest.mark.timeout(300)
def test_every_one_of_16_bits_of_a_thermal_camera_arrives(device):
    frames = [counts(index) for index in range(3)]
    raw = b"".join(frame.tobytes() for frame in frames)
    device.read("thermal", raw, "Y16 ", HEIGHT + TELEMETRY, crop_bottom=TELEMETRY, kelvin_per_count=0.01)
    seen = set()
    while len(seen) < 3:
        _, data = device.picture()
        assert data.dtype == np.uint16 and data.shape == (HEIGHT, WIDTH)
        matching = [i for i, frame in enumerate(frames) if np.array_equal(data, frame[:HEIGHT])]
        assert matching, f"none of the frames that the camera took: {data[0, :3]}"
        seen.add(matching[0])
    device.unplug()
    device.wait_for(lambda line: line["state"] == "lost", "the loss")
    device.plug_in()
    device.picture()
