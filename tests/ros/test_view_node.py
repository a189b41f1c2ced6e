"""The view node over DDS: subscribed only while somebody looks or it records; real viewers, real recordings."""

import os
import re
import signal
import socket
import subprocess

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from graph import PATIENCE, eventually, free_port
from imagebind_msgs.msg import Audio, Embedding, Query
from messages import audio, demo_picture, image, new_stamp
from sensor_msgs.msg import Image, Imu
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

pytest.importorskip("rerun", reason="needs the extra view")
from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.view import ViewNode
from imagebind_node.streaming.exchange import Exchange
from imagebind_node.view.server import rerun_program

TOPICS = ("camera/image_raw", "audio", "imu/data", "embedding/vision", "detections", "detections/heatmap")


@pytest.fixture
def make_view(running):
    def make(**parameters):
        node = running.make(ViewNode, web_port=free_port(), data_port=free_port(), **parameters)
        running.serve()
        return node

    return make


class Viewer:
    """Rerun's own program as a viewer without a window: what it is shown goes into a file."""

    def __init__(self, node, path):
        self.path = path
        url = node._server.config.data_url
        self.process = subprocess.Popen([rerun_program(), url, "--save", path], stderr=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def look(tmp_path):
    viewers = []

    def start(node):
        viewers.append(Viewer(node, tmp_path / f"seen_{len(viewers)}.rrd"))
        return viewers[-1]

    yield start
    for viewer in viewers:
        viewer.close()


def entities_of(path):
    done = subprocess.run([rerun_program(), "rrd", "print", path], capture_output=True, text=True, timeout=60)
    return set(re.findall(r"/[A-Za-z0-9_/]+", done.stdout))


def subscribed(client):
    return [topic for topic in TOPICS if client.node.count_subscribers(topic)]


class Publisher:
    """What a robot and our nodes would publish: one picture, sound, motion, embedding, query and detection a call."""

    def __init__(self, client):
        self.client = client
        self.sequence = 0
        self.picture = demo_picture(width=320)

    def send(self):
        stamp = new_stamp()
        head = Header(stamp=stamp, frame_id="eye")
        vector = np.eye(4, dtype=np.float32)[self.sequence // 1600 % 3].tolist()
        embedding = Embedding(header=head, space="test", modality="vision", vector=vector, confidence=1.0)
        detection = Detection2D(header=head)
        detection.bbox.size_x = detection.bbox.size_y = 50.0
        found = ObjectHypothesisWithPose()
        found.hypothesis.class_id, found.hypothesis.score = "dog", 0.97
        detection.results.append(found)
        sound = audio(np.zeros(1600, np.float32), 16000, self.sequence)
        self.sequence += 1600
        heat = image(np.random.default_rng(0).normal(size=(24, 32)).astype(np.float32), "32FC1")
        query = Query(
            header=head, label="dog", source="live", active=True, confidence=1.0, embedding=embedding
        )
        for kind, topic, profile, message in (
            (Image, "camera/image_raw", qos.SENSOR, image(self.picture)),
            (Image, "depth/image_raw", qos.SENSOR, image(np.full((24, 32), 1500, np.uint16), "16UC1")),
            (Image, "thermal/image_raw", qos.SENSOR, image(np.full((24, 32), 30000, np.uint16), "mono16")),
            (Image, "detections/heatmap", qos.SENSOR, heat),
            (Audio, "audio", qos.audio(), sound),
            (Imu, "imu/data", qos.MOTION, Imu(header=head)),
            (Embedding, "embedding/vision", qos.RESULT, embedding),
            (Query, "detector/query", qos.STATE, query),
            (
                Detection2DArray,
                "detections",
                qos.RESULT,
                Detection2DArray(header=head, detections=[detection]),
            ),
        ):
            self.client.publisher(kind, topic, profile).publish(message)


EVERYTHING = {
    "/camera/picture",
    "/camera/heat",
    "/camera/boxes",
    "/depth/picture",
    "/thermal/picture",
    "/sound/spectrogram",
    "/imu/acceleration/x",
    "/imu/turn_rate/z",
    "/similarity/vision/dog",
    "/map/recent",
    "/query",
}


@pytest.mark.timeout(300)
def test_receives_only_while_somebody_looks_and_shows_everything_then(client, make_view, look):
    node = make_view()
    assert not node.is_showing
    assert subscribed(client) == []
    viewer = look(node)
    eventually(lambda: node.is_showing, "the node to show")
    publisher = Publisher(client)

    def shown():
        publisher.send()
        return entities_of(viewer.path) >= EVERYTHING

    eventually(shown, "everything in the viewer")
    assert not node.errors.counts
    viewer.close()
    eventually(lambda: not node.is_showing, "the node to rest")
    eventually(lambda: subscribed(client) == [], "no subscription")
    # The next one finds the past and what comes.
    again = look(node)
    eventually(lambda: node.is_showing and "/camera/boxes" in entities_of(again.path), "the past")


@pytest.mark.timeout(300)
def test_records_while_nobody_looks(client, make_view, tmp_path):
    path = tmp_path / "run.rrd"
    node = make_view(record=str(path))
    assert node.is_showing
    publisher = Publisher(client)

    def recorded():
        publisher.send()
        return entities_of(path) >= EVERYTHING

    eventually(recorded, "everything in the file")
    node.trigger_deactivate()
    assert not node.is_showing
    assert entities_of(path) >= EVERYTHING


@pytest.mark.timeout(300)
def test_bad_messages_are_counted_and_the_view_goes_on(client, make_view, tmp_path):
    path = tmp_path / "run.rrd"
    node = make_view(record=str(path))
    bad_imu = Imu(header=Header(stamp=new_stamp()))
    bad_imu.linear_acceleration.x = float("nan")
    bad = (
        (
            Image,
            "camera/image_raw",
            qos.SENSOR,
            lambda: image(np.zeros((4, 4, 3), np.uint8), step=1),
            "vision",
        ),
        (
            Image,
            "detections/heatmap",
            qos.SENSOR,
            lambda: image(np.zeros((4, 4, 3), np.uint8), "x"),
            "heat map",
        ),
        (Audio, "audio", qos.audio(), lambda: audio(np.zeros(3, np.float32), channels=2), "audio"),
        (Audio, "audio", qos.audio(), lambda: audio(np.full(9, np.nan)), "audio"),
        (Imu, "imu/data", qos.MOTION, lambda: bad_imu, "imu/data"),
        (Embedding, "embedding/vision", qos.RESULT, lambda: Embedding(modality="vision"), "news"),
    )
    for kind, topic, profile, make, source in bad:
        publisher = client.publisher(kind, topic, profile)
        before = node.errors.counts[source]

        def refused(publisher=publisher, make=make, source=source, before=before):
            publisher.publish(make())
            return node.errors.counts[source] > before

        eventually(refused, f"{source} refused")
    publisher = Publisher(client)

    def recorded():
        publisher.send()
        return entities_of(path) >= EVERYTHING

    eventually(recorded, "everything in the file")


@pytest.mark.timeout(300)
def test_a_killed_server_comes_back_at_the_same_place(make_view, look):
    node = make_view()
    page = node._server.config.page_urls
    os.kill(node._server._process.pid, signal.SIGKILL)
    eventually(lambda: node.errors.counts["server"] and node._server._answers(), "a new server")
    assert node._server.config.page_urls == page
    look(node)
    eventually(lambda: node.is_showing, "the node to show")


def test_a_taken_port_fails_to_configure_in_one_line(running):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = running.make(ViewNode, start=False, web_port=port, data_port=free_port())
        assert not node.autostart()
    assert isinstance(node.start_error, DeviceError)
    assert f"port {port}: Address already in use" in str(node.start_error)


def test_an_existing_recording_fails_to_activate(running, tmp_path):
    (tmp_path / "old.rrd").write_bytes(b"precious")
    node = running.make(
        ViewNode, start=False, web_port=free_port(), data_port=free_port(), record=str(tmp_path / "old.rrd")
    )
    assert not node.autostart()
    assert isinstance(node.start_error, InvalidInputError)
    assert (tmp_path / "old.rrd").read_bytes() == b"precious"


def test_says_in_diagnostics_where_the_page_is(client, make_view):
    reports = client.collect(DiagnosticArray, "/diagnostics")
    node = make_view()

    def report():
        statuses = [s for message in reports for s in message.status]
        return [s for s in statuses if s.name == f"{node.get_fully_qualified_name()}: view"]

    found = eventually(report, "a report")[0]
    values = {pair.key: pair.value for pair in found.values}
    assert [values["page"]] == node._server.config.page_urls
    assert (found.message, values["viewers"]) == ("nobody looks", "0")


@pytest.mark.timeout(300)
def test_takes_embeddings_by_reference_from_nodes_of_its_process(client, running, look, tmp_path):
    from imagebind_node.embedding import Embedding as Vector
    from imagebind_node.embedding import Space
    from imagebind_node.samples import AudioSample, ImuSample, Modality

    exchange = Exchange()
    path = tmp_path / "run.rrd"
    names = {topic: f"{running.namespace}/{topic}" for topic in ("embedding/vision", "audio", "imu/data")}
    for name in names.values():
        exchange.announce(name)
    node = running.make(
        ViewNode, exchange=exchange, web_port=free_port(), data_port=free_port(), record=str(path)
    )
    running.serve()
    assert client.node.count_subscribers("embedding/vision") == 0
    for axis in range(3):
        vector = Vector(np.eye(4)[axis], Modality.VISION, Space("test", 4), 10**18 + axis)
        exchange.publish(names["embedding/vision"], vector)
    exchange.publish(names["audio"], (AudioSample(np.zeros(1600, np.float32), 16000, 10**18), 0))
    exchange.publish(names["imu/data"], ImuSample(np.ones((2, 6), np.float32), np.array([0.0, 0.1]), 10**18))
    wanted = {"/map/recent", "/sound/spectrogram", "/imu/acceleration/x"}
    eventually(lambda: wanted <= entities_of(path), "all three")
    assert not node.errors.counts
