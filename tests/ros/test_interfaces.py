"""Our interfaces as other nodes see them: over DDS, by type hash, and as documentation."""

from __future__ import annotations

import json
import re
import time
from array import array
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed: make setup")

import rclpy
from builtin_interfaces.msg import Duration, Time
from imagebind_msgs.msg import Audio, Content, Embedding, Query
from imagebind_msgs.srv import SetQuery
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

import imagebind_node.nodes  # noqa: F401 - completes the environment before rclpy is imported

WORKSPACE = Path(__file__).resolve().parents[2] / "ros2_ws"


def interface_files(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in (".msg", ".srv", ".action"))


# REP-2016 hashes (RIHS01) of vision_msgs 4.1.1, from a build of the official sources (tag 4.1.1).
OFFICIAL = {
    "BoundingBox2D": "008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f",
    "BoundingBox2DArray": "2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691",
    "BoundingBox3D": "bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698",
    "BoundingBox3DArray": "a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6",
    "Classification": "f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143",
    "Detection2D": "0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "Detection2DArray": "214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection3D": "ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b",
    "Detection3DArray": "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "LabelInfo": "3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "ObjectHypothesis": "51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90",
    "ObjectHypothesisWithPose": "41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc",
    "Point2D": "eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247",
    "Pose2D": "b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648",
    "VisionClass": "1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a",
    "VisionInfo": "95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284",
}


@pytest.fixture
def node(namespace):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("interfaces", context=context, namespace=namespace)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def over_dds(node: Node, message):
    """Publish `message` and return what a subscription receives."""
    received = []
    node.create_subscription(type(message), "sent", received.append, 1)
    publisher = node.create_publisher(type(message), "sent", 1)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    deadline = time.monotonic() + 20
    while not received and time.monotonic() < deadline:
        publisher.publish(message)
        executor.spin_once(timeout_sec=0.1)
    assert received, "nothing arrived in 20 s"
    return received[0]


def test_embedding_arrives_unchanged(node):
    vector = np.random.default_rng(0).normal(size=1024).astype(np.float32)
    vector /= np.linalg.norm(vector)
    sent = Embedding(
        header=Header(stamp=Time(sec=7, nanosec=5), frame_id="microphone"),
        space="imagebind_huge",
        modality="audio",
        model="imagebind_huge/bf16",
        window=Duration(sec=2),
        vector=array("f", vector.tobytes()),
        confidence=0.5,
        labels=["dog", "bark"],
        label_scores=[0.75, 0.5],
        sources=["audio"],
        source_weights=[1.0],
    )
    got = over_dds(node, sent)
    assert got == sent
    np.testing.assert_array_equal(np.asarray(got.vector, dtype=np.float32), vector)


def test_audio_keeps_samples_and_a_64_bit_sequence(node):
    data = np.linspace(-1, 1, 640, dtype=np.float32)
    sent = Audio(sample_rate=16000, channels=2, sequence=2**40 + 1, data=array("f", data.tobytes()))
    got = over_dds(node, sent)
    assert got.sequence == 2**40 + 1
    np.testing.assert_array_equal(np.asarray(got.data, dtype=np.float32), data)


def test_detections_arrive(node):
    box = BoundingBox2D(size_x=30.0, size_y=40.0)
    box.center.position.x = 100.5
    result = ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id="dog", score=0.9))
    sent = Detection2DArray(detections=[Detection2D(results=[result], bbox=box, id="3")])
    assert over_dds(node, sent) == sent


def test_query_service_carries_terms_of_every_kind(node):
    asked = []

    def answer(request, response):
        asked.append(request)
        response.success, response.message = True, "dog"
        return response

    node.create_service(SetQuery, "set_query", answer)
    client = node.create_client(SetQuery, "set_query")
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    assert client.wait_for_service(timeout_sec=20)
    terms = [
        Content(modality="text", text="a dog"),
        Content(modality="audio", audio=Audio(sample_rate=16000, channels=1, data=[0.0, 0.5])),
        Content(modality="embedding", embedding=Embedding(space="concept-1", vector=[1.0, 0.0])),
    ]
    request = SetQuery.Request(label="dog", add=True, terms=terms, weights=[1.0, 1.0, -0.5])
    future = client.call_async(request)
    executor.spin_until_future_complete(future, timeout_sec=20)
    assert future.result().success
    assert asked == [request]


def test_query_sources():
    assert (Query.SOURCE_LIVE, Query.SOURCE_PINNED) == ("live", "pinned")


def type_hash(folder: Path, name: str) -> str:
    description = json.loads((folder / f"{name}.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in description["type_hashes"]}
    return hashes[f"vision_msgs/msg/{name}"]


@pytest.mark.parametrize("name", OFFICIAL)
def test_type_hash_is_that_of_the_official_vision_msgs(name):
    module = import_module("vision_msgs")
    prefix = next(p for p in Path(module.__file__).parents if (p / "share/vision_msgs/package.xml").is_file())
    folder = prefix / "share/vision_msgs/msg"
    if not (folder / f"{name}.json").is_file():
        pytest.skip("this distribution (before Iron) has no type hashes")
    assert type_hash(folder, name) == f"RIHS01_{OFFICIAL[name]}"


def test_type_hash_on_the_wire(node):
    publisher = node.create_publisher(Detection2DArray, "detections", 1)
    (info,) = node.get_publishers_info_by_topic(publisher.topic_name)
    if not hasattr(info, "topic_type_hash"):
        pytest.skip("this distribution (before Iron) has no type hashes")
    assert str(info.topic_type_hash) == f"RIHS01_{OFFICIAL['Detection2DArray']}"
    publisher.destroy()


@pytest.mark.parametrize("path", interface_files(WORKSPACE / "src"), ids=lambda path: path.name)
def test_every_field_is_explained(path):
    explained = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line.strip() or line == "---":
            explained = False
        else:
            # A field right below another one shares its comment only among constants.
            assert explained or "=" in line, f"{path.name}: no comment above {line!r}"
            explained = "=" in line


def test_every_interface_file_is_built():
    for package in (WORKSPACE / "src/imagebind_msgs", *(WORKSPACE / "underlay").iterdir()):
        listed = set(re.findall(r'"(\w+/\w+\.(?:msg|srv|action))"', (package / "CMakeLists.txt").read_text()))
        assert listed == {f"{p.parent.name}/{p.name}" for p in interface_files(package)}
