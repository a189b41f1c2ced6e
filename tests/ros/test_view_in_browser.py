"""The live view in a real browser: a bundled scene and sound through the real graph, a box and its label on the page.

VIEW_PICTURE=docs/pictures/view.jpg saves the screenshot; it is the one in the README.
"""

import itertools
import math
import os
import signal
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from graph import eventually, free_port
from messages import DEMO, demo_picture, image, new_stamp
from screen import locate, missing_programs, outline, page_text, words
from sensor_msgs.msg import Image, Imu
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

pytest.importorskip("rerun", reason="needs the extra view")
pytest.importorskip("selenium", reason="needs the extra browser")
from browser import PATIENCE, open_browser, screenshot

from imagebind_node.demo.processes import NodeProcesses
from imagebind_node.nodes import qos
from imagebind_node.view.server import ServerConfig

SHOWN_SECONDS = 8.0
MOST_BYTES = 300_000


@pytest.fixture
def browser():
    missing = missing_programs()
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt install chromium chromium-driver tesseract-ocr")
    started = open_browser()
    yield started
    started.quit()


class OtherSenses:
    """Depth, thermal pictures and motion, which the bundled scene lacks: a floor with a warm thing on it, a swing."""

    def __init__(self, client):
        rows, columns = np.mgrid[0:120, 0:160].astype(np.float32)
        thing = np.hypot(columns - 90, (rows - 90) * 1.5) < 30
        metres = np.where(thing, 1.8, 60 / (rows + 12))
        self.depth = (metres * 1000).astype(np.uint16)
        self.warmth = (29500 + 10 * rows + 1500 * thing).astype(np.uint16)
        self.pictures = [
            (client.publisher(Image, "depth/image_raw", qos.SENSOR), lambda: image(self.depth, "16UC1")),
            (client.publisher(Image, "thermal/image_raw", qos.SENSOR), lambda: image(self.warmth, "mono16")),
        ]
        self.imu = client.publisher(Imu, "imu/data", qos.MOTION)
        self.held = False
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        for number in itertools.count():
            if self.stopping.wait(0.04):
                return
            if self.held:
                continue
            message = Imu(header=Header(stamp=new_stamp(), frame_id="imu"))
            message.linear_acceleration.x = 2.0 * math.sin(number * 0.1)
            message.linear_acceleration.z = 9.8
            message.angular_velocity.y = 0.5 * math.cos(number * 0.1)
            self.imu.publish(message)
            if number % 10 == 0:
                for publisher, make in self.pictures:
                    publisher.publish(make())

    def close(self):
        self.stopping.set()
        self.thread.join()


@pytest.fixture
def graph(namespace, client, tmp_path):
    """Replay, encoder, detector and view, a process each; yields the address of the page."""
    config = ServerConfig(web_port=free_port(), data_port=free_port())
    model = {"threads": 1, "max_age": 0.0}
    senses = ["vision", "audio", "depth", "thermal", "imu"]
    rates = {"rate.vision": 2.0, "rate.depth": 1.0, "rate.thermal": 1.0, "hop": 0.2}
    scene = {"images": DEMO / "meadow.jpg", "audio": DEMO / "dog.flac", "loop": True, "rate": 5.0}
    with NodeProcesses(namespace, tmp_path) as processes:
        processes.start("encoder", {**model, **rates, "modalities": senses})
        processes.start("detector", {**model, "rate": 2.0, "modalities": ["vision", "audio"]})
        processes.start("view", {"web_port": config.web_port, "data_port": config.data_port, "rate": 4.0})
        processes.start("replay", {**scene, "wait_for_subscribers": 60.0, "subscribers": 2})
        others = OtherSenses(client)
        yield Graph(config.page_urls[0], processes, others)
        others.close()
        processes.require_running()


class Graph:
    """`page`: its address. `hold` stops time for all but the view: a slow browser can then draw what there is."""

    def __init__(self, page, processes, others):
        self.page, self._processes, self._others = page, processes, others

    def hold(self, held):
        self._others.held = held
        for name in ("replay", "encoder", "detector"):
            self._processes._running[name].send_signal(signal.SIGSTOP if held else signal.SIGCONT)


def surest_box(message):
    """Label and x0, y0, x1, y1 in pixels of the picture, of the surest detection, or None."""
    if not message.detections:
        return None
    box, best = message.detections[0].bbox, message.detections[0].results[0].hypothesis
    centre, half = (box.center.position.x, box.center.position.y), (box.size_x / 2, box.size_y / 2)
    return best.class_id, np.array([*np.subtract(centre, half), *np.add(centre, half)])


def label_is_read(label, screen, box):
    """Whether `label` stands in the box, below its upper side; or, where that is hard to read, in the table below."""
    x0, y0, x1, _ = np.round(box).astype(int)
    height, width = screen.shape[:2]
    read = [words(screen[y0 + 4 : y0 + below, x0 + 6 : x1 - 6], (255, 255, 255)) for below in (28, 36)]
    read.append(page_text(screen[round(0.6 * height) :, : round(0.24 * width)]).rpartition("found")[2])
    return any(label.lower() in text for text in read)


@pytest.mark.timeout(600)
def test_the_page_shows_the_box_and_the_label_of_what_was_heard(graph, client, browser, tmp_path):
    detections = client.collect(Detection2DArray, "detections", qos.RESULT)
    browser.get(graph.page)
    # The page asks for everything, which takes effect within a second; a while later all panels have something.
    eventually(lambda: client.node.count_subscribers("detections") == 2, "the view to subscribe", PATIENCE)
    time.sleep(SHOWN_SECONDS)

    def found_and_held():
        if detections and surest_box(detections[-1]):
            graph.hold(True)
            time.sleep(1.0)  # what was on its way arrives
            if surest_box(detections[-1]):
                return True
            graph.hold(False)
        return False

    eventually(found_and_held, "a detection", PATIENCE)
    picture = demo_picture(width=960)

    def shown():
        screen = screenshot(browser)
        if screen is not None:
            cv2.imwrite(str(tmp_path / "page.png"), screen[..., ::-1])
        place = None if screen is None else locate(picture, screen)
        if place is None:
            return None
        # The view leaves detections out when they come fast: one of the newest is shown, not always the last.
        for label, box in filter(None, map(surest_box, detections[-5:])):
            on_screen = np.tile(place[:2], 2) + place[2] * box
            if outline(screen, on_screen)[0] > 0.8 and label_is_read(label, screen, on_screen):
                return screen, on_screen
        return None

    screen, box = eventually(shown, "a box and its label on the page", PATIENCE)
    # Not just anywhere: a little beside the box there is none.
    assert outline(screen, box + 30)[0] < 0.5
    assert outline(screen, box - 30)[0] < 0.5
    save(screen)
    graph.hold(False)


def save(screen):
    """Write the screenshot where VIEW_PICTURE says, small enough for the README."""
    if path := os.environ.get("VIEW_PICTURE"):
        for quality in range(90, 30, -5):
            jpeg = cv2.imencode(".jpg", screen[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(jpeg) < MOST_BYTES:
                break
        Path(path).write_bytes(jpeg)
