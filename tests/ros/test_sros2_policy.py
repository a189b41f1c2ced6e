"""config/sros2 permits exactly what the running nodes use: read from the policy, asked of the graph."""

from __future__ import annotations

import contextlib
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
from enclaves import KINDS, POLICY, permitted, profiles, resolved
from graph import eventually, free_port
from rclpy.node import NodeNameNonExistentError
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection3DArray

from imagebind_node.nodes import qos
from imagebind_node.nodes.up import NODES

CLASSES = NODES
# What only some set-ups have: recordings bring /clock.
ELSEWHERE = {"replay": {"/clock"}}
NEEDS = {
    "realsense": ["pyrealsense2"],
    "imu": ["serial"],
    "memory": ["qdrant_edge"],
    "generator": ["diffusers"],
    "view": ["rerun"],
}


def used(client, node) -> dict[str, set[str]]:
    """What DDS says that a node has at this moment, without the namespace of the test."""
    name, namespace = node.get_name(), node.get_namespace()

    def names(kind):
        ask = getattr(client.node, f"get_{kind}_names_and_types_by_node")
        try:
            return {entry.removeprefix(namespace) for entry, _ in ask(name, namespace)}
        except NodeNameNonExistentError:  # not discovered yet
            return set()

    return {
        "publish": names("publisher"),
        "subscribe": names("subscriber"),
        "reply": names("service"),
        "request": names("client"),
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CLASSES)
def test_every_node_may_do_what_it_does_and_nothing_else(client, running, tmp_path, name):
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    allowed = profiles()[name]
    own = {
        "memory": {"directory": str(tmp_path)},
        # It subscribes only while somebody looks or it records.
        "view": {"record": str(tmp_path / "a.rrd"), "web_port": free_port(), "data_port": free_port()},
    }
    parameters = PARAMETERS.get(name, {}) | own.get(name, {})
    if name == "generator":
        parameters = small_generator(tmp_path)
    node_class = getattr(import_module(f"imagebind_node.nodes.{name}"), CLASSES[name])
    node = running.make(node_class, **parameters)
    running.serve()
    # Pictures are first expected raw; a node in want of them takes compressed ones, and depth when somebody asks.
    for topic in ("camera", "depth", "thermal"):
        client.node.create_publisher(CompressedImage, f"{topic}/image_raw/compressed", qos.SENSOR)
    client.node.create_subscription(Detection3DArray, "detections_3d", lambda _: None, qos.RESULT)
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    expected = {kind: allowed[kind] - ELSEWHERE.get(name, set()) for kind in KINDS}
    expected["subscribe"] -= {"/clock", "/parameter_events"}  # with use_sim_time, and in other distributions

    def everything_seen():
        for kind, names in used(client, node).items():
            found[kind] |= names
        return all(expected[kind] <= found[kind] for kind in KINDS)

    with contextlib.suppress(AssertionError):
        eventually(everything_seen, "all that is permitted", patience=30.0)
    unused = {kind: expected[kind] - found[kind] for kind in KINDS}
    assert not any(unused.values()), f"permitted, but never used: {unused}"
    missing = {kind: found[kind] - allowed[kind] for kind in KINDS}
    assert not any(missing.values()), f"not permitted, but used: {missing}"


def small_generator(folder: Path) -> dict[str, object]:
    """Parameters of a generator that starts in a moment."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "generation"))
    from tiny_unclip import DATA, write_pipeline

    return {
        "model": "imagebind_huge",
        "checkpoint": str(DATA / "reference_small.safetensors"),
        "modalities": ["text"],
        "folder": str(write_pipeline(folder)),
    }


PARAMETERS = {
    "encoder": {"modalities": ["vision", "audio", "depth", "thermal", "imu"]},
    "memory": {"modalities": ["text"]},
    "recognizer": {"modalities": ["text"], "recognized": ["vision", "audio", "depth", "thermal", "imu"]},
    "camera": {"source": "/dev/video99"},
    "replay": {"images": "demo/meadow.jpg", "audio": "demo/dog.flac", "wait_for_subscribers": 60.0},
}


def test_one_process_may_do_what_its_nodes_may():
    up = next(e for e in resolved(POLICY).iter("enclave") if e.get("path") == "/imagebind_node/up")
    single = profiles()
    assert {profile.get("node") for profile in up.iter("profile")} == set(NODES)
    for profile in up.iter("profile"):
        assert permitted(profile) == single[profile.get("node")]


def test_who_asks_finds_what_is_offered():
    """Names that client and operator use are names that nodes have; only the operator may change anything."""
    single = profiles()
    nodes = {name: single.pop(name) for name in CLASSES}
    offered = {kind: set().union(*(node[kind] for node in nodes.values())) for kind in KINDS}
    for who in ("client", "operator"):
        mine = single.pop(who)
        assert mine["subscribe"] <= offered["publish"] | {"/clock", "/parameter_events"}
        assert mine["publish"] == {"/rosout", "/parameter_events"}
    assert mine["request"] == {f"/{name}/*" for name in nodes}
    client = permitted(next(e for e in resolved(POLICY).iter("profile") if e.get("node") == "client"))
    assert client["request"] <= offered["reply"]
    assert not any("set_parameters" in name or "forget" in name for name in client["request"])
    assert not single


def test_no_comment_among_the_enclaves():
    """`ros2 security` takes every child of <enclaves> for an enclave and ends in a traceback on a comment."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.parse(POLICY, ElementTree.XMLParser(target=builder)).getroot()
    for element in root.iter("enclaves"):
        assert {child.tag for child in element} == {"enclave"}
