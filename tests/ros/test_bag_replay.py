"""The replay node plays a recording to running nodes: its topics, its pace, and stamps of now or of then."""

import sys
from pathlib import Path

import numpy as np
import pytest
from graph import eventually
from imagebind_msgs.msg import Audio, Embedding
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu

from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.nodes.replay import ReplayNode

sys.path.insert(0, str(Path(__file__).parents[1] / "sensors"))
import recorded_bag


def stamps(messages):
    return np.array([m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages])


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return recorded_bag.write(tmp_path_factory.mktemp("bag") / "bag")


def test_topics_are_played_in_their_pace_with_stamps_of_now(client, running, bag):
    sounds = client.collect(Audio, "audio", qos.audio())
    motions = client.collect(Imu, "imu/data", 500)
    node = running.make(ReplayNode, bag=str(bag), speed=4.0, start=False)
    assert node.autostart()
    running.serve()
    before = node.now()
    eventually(node.finished.is_set, "the end")
    eventually(lambda: len(sounds) == 80, "all sound")
    assert [m.sequence for m in sounds] == [i * len(sounds[0].data) for i in range(80)]
    found = stamps(sounds)
    assert np.diff(found) == pytest.approx(12_500_000, abs=1000)
    assert abs(found[0] - before) < 20 * 10**9
    assert motions[0].header.frame_id == "belt" and motions[0].linear_acceleration.x != 0


def test_stamps_as_recorded_come_with_the_clock_and_the_encoder_follows(client, running, bag):
    from rclpy.parameter import Parameter

    clock = client.collect(Clock, "/clock", 10)
    encoder = running.make(EncoderNode, modalities=["vision", "audio", "imu"], max_age=2.0)
    encoder.set_parameters([Parameter("use_sim_time", value=True)])
    running.make(ReplayNode, bag=str(bag), bag_stamps="recorded", loop=True)
    heard = {m: client.collect(Embedding, f"embedding/{m}", qos.RESULT) for m in ("vision", "audio", "imu")}
    running.serve()
    eventually(lambda: all(heard.values()) and clock, "embeddings of all senses")
    for embeddings in heard.values():
        assert recorded_bag.START <= stamps(embeddings)[0] <= recorded_bag.START + 4 * 10**9
    # Starting over is a clock that jumps back by 4 s: the streams begin anew and nothing fails.
    eventually(lambda: (np.diff(stamps(heard["vision"])) < 0).any(), "the second round")
    count = len(heard["imu"])
    eventually(lambda: len(heard["imu"]) > count, "motion after the jump")
    assert sum(encoder.errors.counts.values()) == 0


@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_what_cannot_be_played_fails_the_configuration_in_one_line(running, bag, tmp_path, kind):
    path = tmp_path / "cut.mcap"
    if kind == "cut":
        path.write_bytes(next(bag.glob("*.mcap")).read_bytes()[:5000])
    node = running.make(ReplayNode, start=False, bag=str(path))
    assert not node.autostart()
    assert "bag" in str(node.start_error) and "\n" not in str(node.start_error)


def test_a_bag_and_files_at_once_are_refused(running, bag):
    node = running.make(ReplayNode, start=False, bag=str(bag), images="somewhere.jpg")
    assert not node.autostart()
    assert "only one" in str(node.start_error)


def test_pictures_arrive_as_recorded(client, running, bag):
    pictures = client.collect(Image, "camera/image_raw", qos.SENSOR)
    running.make(ReplayNode, bag=str(bag), speed=4.0, loop=True)
    running.serve()
    eventually(lambda: len(pictures) > 3, "pictures")
    assert (pictures[0].encoding, pictures[0].width, pictures[0].height) == ("bgr8", 160, 120)
    assert len(pictures[0].data) == 160 * 120 * 3


def break_off(bag, folder):
    """A copy whose second chunk of messages cannot be read; its index is whole."""
    path = folder / "broken.mcap"
    data = bytearray(next(bag.glob("*.mcap")).read_bytes())
    at, chunks = 8, []
    while at < len(data) - 8:
        if data[at] == 6:
            chunks.append(at)
        at += 9 + int.from_bytes(data[at + 1 : at + 9], "little")
    assert len(chunks) > 1
    data[chunks[1] + 49 : chunks[1] + 69] = b"\xff" * 20
    path.write_bytes(data)
    return path


def test_a_bag_that_breaks_off_ends_there_with_one_line(client, running, bag, tmp_path):
    sounds = client.collect(Audio, "audio", qos.audio())
    node = running.make(ReplayNode, start=False, bag=str(break_off(bag, tmp_path)), speed=10.0, loop=True)
    assert node.autostart()
    running.serve()
    eventually(node.finished.is_set, "the end")
    assert node.errors.counts["driver"] == 1
    assert "damaged or incomplete" in node.errors.last["driver"]
    assert 0 < len(sounds) < 80
