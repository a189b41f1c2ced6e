"""config/foxglove and config/rviz parse; every topic and message field that they name is in a running graph."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from graph import eventually

from imagebind_node.nodes.detector import DetectorNode
from imagebind_node.nodes.encoder import EncoderNode

CONFIG = Path(__file__).resolve().parents[2] / "config"
FOXGLOVE = json.loads((CONFIG / "foxglove" / "imagebind_node.json").read_text())
RVIZ = yaml.safe_load((CONFIG / "rviz" / "imagebind_node.rviz").read_text())


def foxglove_paths():
    """Message paths such as /imu/data.linear_acceleration.x; a bare topic has no field."""
    for panel in FOXGLOVE["configById"].values():
        yield from (series["value"] for series in panel.get("paths", ()))
        yield from (panel[key] for key in ("topicPath", "topicToRender") if key in panel)
        if "imageMode" in panel:
            yield panel["imageMode"]["imageTopic"]


def rviz_topics():
    for display in RVIZ["Visualization Manager"]["Displays"]:
        if "Topic" in display:
            yield display["Topic"]["Value"]


def leaves(layout):
    """Panels in the tree of a Foxglove layout."""
    return [layout] if isinstance(layout, str) else leaves(layout["first"]) + leaves(layout["second"])


@pytest.fixture(scope="module")
def types(module_client, module_running):
    """Topic -> message type of a graph of encoder and detector, without the namespace of the test."""
    module_running.make(EncoderNode, modalities=["vision", "audio", "depth", "thermal", "imu"])
    module_running.make(DetectorNode, modalities=["vision", "audio"])
    module_running.serve()
    wanted = {path.partition(".")[0] for path in (*foxglove_paths(), *rviz_topics())}

    def all_there():
        known = dict(module_client.node.get_topic_names_and_types())
        found = {name.removeprefix(module_running.namespace): kinds[0] for name, kinds in known.items()}
        return found if wanted <= set(found) else None

    return eventually(all_there, f"a graph with {sorted(wanted)}", patience=30.0)


def test_every_foxglove_panel_is_placed_once():
    placed = leaves(FOXGLOVE["layout"])
    assert sorted(placed) == sorted(FOXGLOVE["configById"])


@pytest.mark.parametrize("path", sorted(foxglove_paths()))
def test_foxglove_reads_what_the_message_has(types, path):
    topic, _, fields = path.partition(".")
    package, _, name = types[topic].split("/")
    message = getattr(import_module(f"{package}.msg"), name)
    for field in fields.split(".") if fields else []:
        field, is_indexed = re.sub(r"\[.*\]$", "", field), field.endswith("]")
        kind = message.get_fields_and_field_types()[field]
        assert is_indexed == kind.startswith("sequence<"), path
        kind = kind.removeprefix("sequence<").removesuffix(">")
        if "/" in kind:
            package, name = kind.split("/")
            message = getattr(import_module(f"{package}.msg"), name)
        else:
            assert kind in ("float", "double"), path


@pytest.mark.parametrize("topic", sorted(rviz_topics()))
def test_rviz_shows_what_the_graph_has(types, topic):
    display = next(
        d for d in RVIZ["Visualization Manager"]["Displays"] if d.get("Topic", {}).get("Value") == topic
    )
    assert display["Class"].rpartition("/")[2] == types[topic].rpartition("/")[2]
    # Pictures are published best effort: a reliable subscription would receive none.
    is_picture = display["Class"].endswith("/Image")
    assert display["Topic"]["Reliability Policy"] == ("Best Effort" if is_picture else "Reliable")


def test_rviz_looks_from_the_camera():
    frame = RVIZ["Visualization Manager"]["Global Options"]["Fixed Frame"]
    module = import_module("imagebind_node.nodes.camera")
    assert frame == next(s.default for s in module.SETTINGS if s.name == "frame_id")
