"""Where was that? Poses from /tf and /tf_static over real DDS, in the memory node with the real embedded model."""

from __future__ import annotations

import json
import sys
import types
from importlib import import_module
from pathlib import Path

import messages
import numpy as np
import pytest
import soundfile
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from graph import eventually
from imagebind_msgs.msg import Content, Embedding
from imagebind_msgs.srv import Search
from PIL import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from imagebind_node.nodes import qos
from imagebind_node.nodes.memory import MemoryNode
from imagebind_node.nodes.transforms import OwnTransforms, Tf2Transforms, open_transforms
from imagebind_node.transforms import TransformError

START = 1_700_000_000
# Of tf2_msgs in Jazzy, as its nodes announce it on the wire (ros2 topic info --verbose).
OFFICIAL = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"
TURNED = Quaternion(z=0.5**0.5, w=0.5**0.5)  # facing north


def stamped(seconds: float, parent: str, child: str, xyz: tuple, rotation: Quaternion) -> TransformStamped:
    place = Vector3(x=xyz[0], y=xyz[1], z=xyz[2])
    return TransformStamped(
        header=Header(stamp=at(seconds), frame_id=parent),
        child_frame_id=child,
        transform=Transform(translation=place, rotation=rotation),
    )


def at(seconds: float) -> Time:
    return Time(sec=START + int(seconds), nanosec=round(seconds % 1 * 1e9))


@pytest.fixture(scope="module")
def model():
    from imagebind_node.encoders.base import load_encoder

    return load_encoder("concept", modalities=["vision"])


def seen(model, animal: str, seconds: float, frame: str = "camera") -> Embedding:
    """What the encoder node publishes of a picture of the animal."""
    from imagebind_node.nodes.conversions import embedding_message

    scene = json.loads((messages.DEMO / "scenes.json").read_text())["scenes"][0]
    picture = Image.open(messages.DEMO / scene["image"]).crop(scene["things"][animal][0])
    message = embedding_message(model.encode("vision", [np.asarray(picture)])[0], "concept/fp32")
    message.header = Header(stamp=at(seconds), frame_id=frame)
    return message


def heard(animal: str) -> Content:
    """The sound of the animal, as a robot hears it now."""
    samples, rate = soundfile.read(messages.DEMO / f"{animal}.flac", dtype="float32")
    return Content(modality="audio", audio=messages.audio(samples, rate))


@pytest.fixture(scope="module")
def drive(module_running, module_client, model, tmp_path_factory):
    """East along the x axis at 1 m/s for 10 s, past a dog at 2 s and a cow at 8 s, which stand to the north."""
    graph = module_client
    # Long before the memory starts, as robot_state_publisher does.
    fixed = graph.node.create_publisher(TFMessage, "/tf_static", qos.TF_STATIC)
    level = Quaternion(w=1.0)
    fixed.publish(TFMessage(transforms=[stamped(0, "base_link", "camera", (0.2, 0.0, 0.5), level)]))
    module_running.make(
        MemoryNode,
        directory=str(tmp_path_factory.mktemp("memory")),
        modalities=["text", "audio"],
        remembered=["vision"],
        novelty=1.0,
        thumbnails=False,
        threads=1,
    )
    module_running.serve()
    node = module_running.nodes[0]
    moving = graph.publisher(TFMessage, "/tf", qos.TF)
    eventually(lambda: fixed.get_subscription_count() == 1, "the memory listens to /tf_static")
    for step in range(11):
        # One transform that no robot can have: it is refused by name and takes no other with it.
        broken = stamped(step, "map", "arm", (0.0, 0.0, 0.0), Quaternion(w=0.0))
        robot = stamped(step, "map", "base_link", (float(step), 0.0, 0.0), TURNED)
        moving.publish(TFMessage(transforms=[broken, robot]))

    def known() -> bool:
        return node._poses.at((START + 10) * 10**9, "camera") is not None

    eventually(known, "all of the drive has arrived")
    camera = graph.publisher(Embedding, "embedding/vision", qos.RESULT)
    wanted = [("dog", 2.5, "camera"), ("cow", 8.0, "camera"), ("dog", 10.4, "camera")]
    wanted += [("dog", 12.0, "camera"), ("cow", 5.0, "somewhere")]
    for animal, seconds, frame in wanted:
        camera.publish(seen(model, animal, seconds, frame))
    eventually(lambda: len(search(graph, heard("dog")).results) == 5, "five memories")
    return graph


def search(graph, *terms: Content, **fields) -> Search.Response:
    return graph.call(Search, "memory/search", Search.Request(terms=list(terms), **fields))


def place(result) -> tuple[str, float, float, float]:
    position = result.pose.pose.position
    return result.pose.header.frame_id, position.x, position.y, position.z


def test_where_did_i_see_what_makes_this_sound(drive) -> None:
    dog, cow = (search(drive, heard(name), limit=1).results[0] for name in ("dog", "cow"))
    # The picture was taken between two transforms; the camera looks north from 0.2 m ahead and 0.5 m up.
    stamps = {result.header.stamp.sec - START for result in (dog, cow)}
    assert stamps <= {2, 5, 8, 10, 12}
    found = {r.header.stamp.sec - START: r for r in search(drive, heard("dog")).results}
    assert place(found[2]) == ("map", pytest.approx(2.5), pytest.approx(0.2), pytest.approx(0.5))
    assert found[2].pose.pose.orientation.z == pytest.approx(TURNED.z)
    assert place(found[8]) == ("map", pytest.approx(8.0), pytest.approx(0.2), pytest.approx(0.5))
    assert (dog.score, cow.score) > (0, 0)
    names = [r.header.stamp.sec - START for r in search(drive, heard("dog")).results]
    assert set(names[:3]) == {2, 10, 12}, "the three pictures of the dog come first"


def test_a_picture_newer_than_the_last_transform_takes_that_if_it_is_near(drive) -> None:
    found = {r.header.stamp.sec - START: r for r in search(drive, heard("dog")).results}
    assert place(found[10])[:2] == ("map", pytest.approx(10.0))
    assert place(found[12])[0] == "", "2 s are too long ago"
    assert place(found[5])[0] == "", "no transform leads to that frame"


def test_places_filter_what_was_seen(drive) -> None:
    request = Search.Request(terms=[heard("dog")])
    request.filter.place.x, request.filter.place_radius = 8.0, 1.0
    (near,) = drive.call(Search, "memory/search", request).results
    assert near.header.stamp.sec == START + 8


def test_impossible_transforms_are_reported_and_the_node_lives_on(drive, module_running) -> None:
    node = module_running.nodes[0]
    assert node.errors.counts["/tf"] >= 11
    assert "no transform links" in node._poses.state or "before the time" in node._poses.state


def test_type_hash_is_that_of_the_official_tf2_msgs() -> None:
    module = import_module("tf2_msgs")
    prefix = next(p for p in Path(module.__file__).parents if (p / "share/tf2_msgs/package.xml").is_file())
    file = prefix / "share/tf2_msgs/msg/TFMessage.json"
    if not file.is_file():
        pytest.skip("this distribution (before Iron) has no type hashes")
    hashes = {e["type_name"]: e["hash_string"] for e in json.loads(file.read_text())["type_hashes"]}
    assert hashes["tf2_msgs/msg/TFMessage"] == OFFICIAL


class FakeTf2Error(Exception):
    """What tf2_ros raises."""


class FakeBuffer:
    """The two calls of tf2_ros.Buffer that are used, with one transform at 10 s."""

    def lookup_transform(self, target: str, source: str, time) -> TransformStamped:
        if (target, source) != ("map", "camera"):
            raise FakeTf2Error(f'"{source}" passed to lookupTransform does not exist')
        if time.nanoseconds not in (0, (START + 10) * 10**9):
            raise FakeTf2Error("Lookup would require extrapolation into the future")
        return stamped(10, target, source, (1.0, 2.0, 3.0), Quaternion(w=1.0))


def test_tf2_ros_is_used_where_it_is_installed(monkeypatch) -> None:
    """tf2_ros cannot be had here: this is its interface only, not its code."""
    closed = []
    fake = types.ModuleType("tf2_ros")
    fake.TransformException, fake.Buffer = FakeTf2Error, FakeBuffer
    fake.TransformListener = lambda buffer, node: types.SimpleNamespace(unregister=lambda: closed.append(1))
    monkeypatch.setitem(sys.modules, "tf2_ros", fake)
    transforms = open_transforms(None)
    assert isinstance(transforms, Tf2Transforms)
    exact = transforms.lookup("map", "camera", (START + 10) * 10**9, 0.5)
    late = transforms.lookup("map", "camera", int((START + 10.4) * 1e9), 0.5)
    assert exact.translation == late.translation == (1.0, 2.0, 3.0)
    with pytest.raises(TransformError, match="extrapolation"):
        transforms.lookup("map", "camera", (START + 11) * 10**9, 0.5)
    with pytest.raises(TransformError, match="does not exist"):
        transforms.lookup("map", "arm", (START + 10) * 10**9, 0.5)
    transforms.close()
    assert closed == [1]


def test_without_tf2_the_topic_pose_is_left(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    assert open_transforms(None) is None
    assert OwnTransforms.name == "own listener"
