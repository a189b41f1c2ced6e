"""`imu/data` into the encoder node over DDS: windows of real motion, and nothing on the topic brings it down."""

import time
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from graph import eventually
from imagebind_msgs.msg import Embedding
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode

HAPT = np.load(Path(__file__).parents[1] / "encoders" / "concept" / "hapt.npz")
WALK = np.concatenate(HAPT["data"][:4].astype(np.float64).transpose(0, 2, 1))
RATE = 100.0


def message(stamp, row, **fields):
    made = Imu(header=Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id="belt"))
    made.orientation_covariance[0] = -1.0
    for vector, values in ((made.linear_acceleration, row[:3]), (made.angular_velocity, row[3:])):
        vector.x, vector.y, vector.z = map(float, values)
    for name, value in fields.items():
        getattr(made, name)[0] = value
    return made


class Graph:
    def __init__(self, client, running):
        self.node = running.make(EncoderNode, modalities=["imu"], max_age=0.0)
        running.serve()
        self.heard = client.collect(Embedding, "embedding/imu", qos.RESULT)
        self.publisher = client.publisher(Imu, "imu/data", 500)
        self.stamp = 1_700_000_000_000_000_000

    @property
    def stream(self):
        return self.node._imu.stream

    def walk(self, seconds):
        """Send `seconds` of walking at RATE, as fast as it is taken in; best effort may lose some of it."""
        count = round(seconds * RATE)
        grid = np.arange(count) * 50 / RATE
        rows = np.stack([np.interp(grid, np.arange(len(WALK)), column) for column in WALK.T], 1)
        for row in rows:
            before = self.node._imu.received
            self.stamp += round(1e9 / RATE)
            self.publisher.publish(message(self.stamp, row))
            deadline = time.monotonic() + 0.5
            while self.node._imu.received == before and time.monotonic() < deadline:
                time.sleep(0.0005)

    def embed(self, seconds=3.5):
        """Walk until an embedding of a whole window has come."""
        before = len(self.heard)
        self.walk(seconds)
        for _ in range(5):
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                if whole := [e for e in self.heard[before:] if e.window.sec == 2]:
                    return whole[-1]
                time.sleep(0.01)
            self.walk(seconds)
        raise AssertionError("no IMU embedding came")


@pytest.fixture(scope="module")
def graph(module_client, module_running):
    return Graph(module_client, module_running)


def test_motion_becomes_an_embedding_stamped_with_the_end_of_its_window(graph):
    got = graph.embed()
    end = got.header.stamp.sec * 10**9 + got.header.stamp.nanosec
    assert graph.stamp - 10**9 <= end <= graph.stamp
    assert (end - 1_700_000_000_000_000_000) % 10_000_000 == 0
    assert (got.modality, got.header.frame_id, got.window.sec, got.window.nanosec) == (
        "imu",
        "belt",
        2,
        560_000_000,
    )
    assert len(got.vector) == 384 and not got.abstained
    assert got.labels[0].startswith("a person walking")


def test_the_first_embedding_of_a_stream_covers_what_there_is(graph):
    graph.stamp += 10**9
    before = len(graph.heard)
    graph.walk(0.9)
    eventually(lambda: len(graph.heard) > before, "an embedding of less than a second")
    got = graph.heard[before]
    assert got.window.sec == 0 and got.window.nanosec >= 640_000_000
    assert len(got.vector) == 384 and got.labels[0].startswith("a person walking")


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps(graph, jump):
    before = graph.stream.order.jumps
    graph.stamp += jump * 10**9
    got = graph.embed()
    assert graph.stream.order.jumps == before + 1
    assert abs(got.header.stamp.sec - graph.stamp // 10**9) < 2


def test_repeated_and_reordered_stamps_are_counted(graph):
    before = graph.stream.order.repeated, graph.stream.order.reordered
    for late in (0, 5_000_000):
        graph.publisher.publish(message(graph.stamp - late, WALK[0]))
    eventually(
        lambda: (graph.stream.order.repeated, graph.stream.order.reordered) == (before[0] + 1, before[1] + 1)
    )
    assert graph.embed()


@pytest.mark.parametrize(
    ("row", "fields", "complaint"),
    [
        (WALK[0], {"angular_velocity_covariance": -1.0}, "angular_velocity is not measured"),
        (WALK[0], {"linear_acceleration_covariance": -1.0}, "linear_acceleration is not measured"),
        (np.full(6, np.nan), {}, "NaN"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_next_is_used(graph, row, fields, complaint):
    before = graph.node.errors.counts["imu/data"]
    graph.publisher.publish(message(graph.stamp + 1000, row, **fields))
    eventually(lambda: graph.node.errors.counts["imu/data"] > before, "an error")
    assert complaint in graph.node.errors.last["imu/data"]
    assert graph.embed()


def test_diagnostics_count(graph):
    from imagebind_node.samples import Modality

    report = graph.node._report(Modality.IMU)
    assert report.values["clock jumps"] >= 2 and report.values["repeated"] >= 1
