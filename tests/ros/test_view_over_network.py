"""The live view from a second machine: graph and browser in network namespaces of their own, joined by a cable."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from graph import eventually
from messages import DEMO, demo_picture
from screen import locate, missing_programs

pytest.importorskip("rerun", reason="needs the extra view")
pytest.importorskip("selenium", reason="needs the extra browser")
from browser import PATIENCE

ROBOT, LAPTOP = f"robot{os.getpid()}", f"laptop{os.getpid()}"
ADDRESSES = {ROBOT: "10.77.0.1", LAPTOP: "10.77.0.2"}


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def machines():
    """Two network namespaces, each with one end of a virtual cable and nothing else."""
    if missing := [*missing_programs(), *([] if shutil.which("ip") else ["ip"])]:
        pytest.skip(f"no {', '.join(missing)}: apt install chromium chromium-driver tesseract-ocr iproute2")
    made = []
    try:
        for name in ADDRESSES:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", "cable", "netns", ROBOT, "type", "veth", "peer", "name", "cable", "netns", LAPTOP)
        for name, address in ADDRESSES.items():
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    finally:
        for name in made:
            ip("netns", "delete", name)


@pytest.fixture
def start(tmp_path):
    """Starts a program on one of the machines; returns where its output goes."""
    running = []

    def run_on(machine, *command):
        path = tmp_path / f"{machine}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", machine, sys.executable, *map(str, command)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running.append(process)
        return path

    yield run_on
    for process in reversed(running):
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.timeout(300)
def test_another_machine_sees_the_camera(machines, start, tmp_path):
    words = ["-m", "imagebind_node.cli.main", "up", "--nodes", "replay,view"]
    words += ["--param", f"replay.images:={DEMO / 'meadow.jpg'}", "--param", "replay.loop:=true"]
    # Slowly: a page that is drawn by software shows no picture before it is decoded.
    words += ["--param", "replay.rate:=1.0", "--param", "view.bind_address:=0.0.0.0"]
    log = start(ROBOT, *words)

    def told():
        lines = [line for line in log.read_text().splitlines() if "open http" in line]
        return lines[0].partition("open ")[2].split()[0] if lines else None

    page = eventually(told, "the address of the page", PATIENCE)
    assert page.startswith(f"http://{ADDRESSES[ROBOT]}:9090/"), log.read_text()
    file = tmp_path / "page.png"
    start(LAPTOP, Path(__file__).with_name("browser.py"), page, file)
    picture = demo_picture(width=960)

    def seen():
        return file.exists() and locate(picture, cv2.imread(str(file))[..., ::-1]) is not None

    eventually(seen, "the camera's picture on the other machine", PATIENCE)
