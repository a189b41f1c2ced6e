"""A sense that was bound: laser scans in over DDS, embeddings of the model's space out."""

import numpy as np
import pytest
from graph import eventually
from imagebind_msgs.msg import Embedding
from messages import new_stamp
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from imagebind_node import load_encoder
from imagebind_node.binding.bound import save_bound
from imagebind_node.binding.towers import build_tower
from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import embedding
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.samples import Modality

TOWER = {"name": "head", "features": 24, "hidden": 8}


def scan(ranges):
    return LaserScan(
        header=Header(stamp=new_stamp(), frame_id="laser"),
        angle_min=-1.0,
        range_max=10.0,
        ranges=[float(value) for value in ranges],
    )


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bound")
    card = {
        "modality": "lidar",
        "space": {"id": "concept-1", "dim": 384},
        "tower": TOWER,
        "preprocessing": "array",
        "input": {"topic": "/scan", "type": "sensor_msgs/msg/LaserScan", "read": None},
    }
    save_bound(folder, build_tower(TOWER, 384, seed=1), card)
    return folder


@pytest.fixture(scope="module")
def node(module_running, module_client, tower):
    made = module_running.make(
        EncoderNode, max_age=0.0, rate__bound=0.0, modalities=["text"], bound=[str(tower)]
    )
    module_running.serve()
    eventually(lambda: module_client.node.count_publishers("embedding/lidar") > 0)
    return made


def send_until(client, message, done, what):
    publisher = client.publisher(LaserScan, "scan", qos.SENSOR)

    def attempt():
        publisher.publish(message)
        return done()

    return eventually(attempt, what)


def test_a_scan_becomes_an_embedding_of_the_models_space(node, module_client, tower):
    heard = module_client.collect(Embedding, "embedding/lidar", qos.RESULT)
    message = scan(np.linspace(1, 4, 24))
    got = send_until(module_client, message, lambda: heard and heard[-1], "an embedding")
    assert (got.header, got.space, got.modality) == (message.header, "concept-1", "lidar")
    encoder = load_encoder("concept", modalities=["lidar", "text"], bound=[tower])
    alone = encoder.encode("lidar", [np.linspace(1, 4, 24).astype(np.float32)])[0]
    received = embedding(got, encoder.space)
    assert received.modality is Modality("lidar")
    assert received @ alone == pytest.approx(1.0, abs=1e-5)
    assert abs(received @ encoder.encode("text", ["a wall"])[0]) < 1


def test_bad_scans_are_errors_that_the_node_survives(node, module_client):
    heard = module_client.collect(Embedding, "embedding/lidar", qos.RESULT)
    for bad, says in (([np.nan] * 24, "NaN"), ([1.0] * 7, "does not fit"), ([], "not an array of numbers")):
        before = node.errors.counts["lidar"]
        send_until(module_client, scan(bad), lambda b=before: node.errors.counts["lidar"] > b, says)
        assert says in node.errors.last["lidar"]
    count = len(heard)
    send_until(module_client, scan(np.ones(24)), lambda: len(heard) > count, "an embedding after the errors")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bound": ["/nowhere"]}, "holds no bound tower"),
        ({"space": {"id": "imagebind_huge", "dim": 384}}, "bound to space 'imagebind_huge'"),
        ({"input": {"topic": "/x", "type": "no_such_msgs/msg/Thing"}}, "not installed"),
    ],
)
def test_what_cannot_be_loaded_is_one_error(running, tmp_path, change, says):
    parameters = dict(change)
    if "bound" not in parameters:
        card = {
            "modality": "lidar",
            "space": {"id": "concept-1", "dim": 384},
            "tower": TOWER,
            "preprocessing": "array",
            **change,
        }
        save_bound(tmp_path, build_tower(TOWER, int(card["space"]["dim"])), card)
        parameters = {"bound": [str(tmp_path)]}
    node = running.make(EncoderNode, start=False, modalities=["text"], **parameters)
    assert not node.autostart()
    assert says in str(node.start_error)
