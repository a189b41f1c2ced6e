"""Parameters set over DDS cannot make a node read or write outside the folders chosen at its start."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import soundfile
from imagebind_msgs.msg import Content
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.camera import CameraNode
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.nodes.imu import ImuNode
from imagebind_node.nodes.memory import MemoryNode
from imagebind_node.nodes.path_parameters import FOLDERS, purpose_of
from imagebind_node.nodes.recognizer import RecognizerNode
from imagebind_node.nodes.replay import ReplayNode
from imagebind_node.nodes.up import NODES

# Words that name no file: devices by name, frames, labels, models. A new parameter is either here or has a `path`.
WORDS = {"model", "device", "detector", "live_label", "serial", "url", "robot", "pose_frame", "select"}
WORDS |= {"frame_id", "imu_frame_id", "camera_frame_id", "microphone_frame_id", "audio_format"}
WORDS |= {"bind_address"}


def put(client, node, **values):
    """Set parameters as `ros2 param set` does, all or none; the reason of the first refusal, or ''."""
    request = SetParameters.Request(
        parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    )
    results = client.call(SetParameters, f"{node.get_name()}/set_parameters", request).results
    return next((result.reason for result in results if not result.successful), "")


@pytest.fixture
def places(tmp_path):
    """`mine` with a sound and links that lead out of it; `secret` with another sound."""
    for name in ("mine", "secret"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", np.zeros(1600), 16000)
    (tmp_path / "mine" / "way_out").symlink_to(tmp_path / "secret")
    (tmp_path / "mine" / "link.wav").symlink_to(tmp_path / "secret" / "a.wav")
    return tmp_path


@pytest.mark.parametrize("name", NODES)
def test_every_parameter_that_may_name_a_file_is_confined(name):
    for setting in import_module(f"imagebind_node.nodes.{name}").SETTINGS:
        words = setting.default if isinstance(setting.default, list) else [setting.default]
        if all(isinstance(word, str) for word in words) and setting.choices is None:
            assert bool(setting.path) != (setting.name in WORDS), setting.name
            assert not setting.path or purpose_of(setting.path) in FOLDERS
            assert not (setting.path and setting.live)


def test_without_folders_only_what_was_named_at_start_is_read(client, running, places):
    node = running.make(ReplayNode, start=False, audio=str(places / "mine"))
    running.serve()
    assert put(client, node, audio=str(places / "mine" / "a.wav")) == ""
    for path in ("secret/a.wav", "mine/../secret/a.wav", "mine/way_out/a.wav", "mine/link.wav"):
        reason = put(client, node, audio=str(places / path))
        assert reason.startswith("parameter audio: ")
        assert f"outside the folders to read ({places / 'mine'})" in reason
        assert "start the node with its folder in read_folders" in reason
        assert "\n" not in reason
    assert "outside the folders" in put(client, node, images="/etc/hostname")
    assert "outside the folders" in put(client, node, bag=str(places))
    assert node.settings["audio"] == str(places / "mine" / "a.wav")


def test_a_link_that_changes_after_the_check_is_checked_again(client, running, places):
    link = places / "mine" / "now.wav"
    link.symlink_to(places / "mine" / "a.wav")
    node = running.make(ReplayNode, start=False, read_folders=[str(places / "mine")], audio=str(link))
    running.serve()
    assert node.settings["audio"] == str(places / "mine" / "a.wav")
    link.unlink()
    link.symlink_to(places / "secret" / "a.wav")
    assert not node.autostart()
    assert "outside the folders" in str(node.start_error)
    assert "\n" not in str(node.start_error)


def test_lists_of_paths(client, running, places):
    node = running.make(
        EncoderNode, start=False, bound=[str(places / "mine"), str(places / "secret" / "a.wav")]
    )
    running.serve()
    assert put(client, node, bound=[str(places / "mine" / "a.wav"), ""]) == ""
    assert node.settings["bound"] == [str(places / "mine" / "a.wav"), ""]
    assert "outside the folders" in put(client, node, bound=[str(places / "mine"), str(places / "secret")])


def test_folders_are_set_at_start_only_and_bind_the_start_too(client, running, places):
    node = running.make(ReplayNode, start=False, read_folders=[str(places / "mine")])
    running.serve()
    assert "read-only" in put(client, node, read_folders=["/"])
    assert put(client, node, audio=str(places / "mine" / "a.wav")) == ""
    with pytest.raises(InvalidInputError, match="outside the folders to read"):
        running.make(ReplayNode, start=False, read_folders=[str(places / "mine")], bag=str(places / "secret"))


def test_the_memory_is_written_nowhere_else(client, running, places):
    node = running.make(
        MemoryNode, modalities=["text"], start=False, directory=str(places / "mine"), remembered=["audio"]
    )
    running.serve()
    elsewhere = places / "elsewhere"
    reason = put(client, node, directory=str(elsewhere))
    assert f"parameter directory: {elsewhere} is outside the folders to write" in reason
    assert "write_folders" in reason
    # Reading is a right of its own: the folder of the memory does not become readable as a vocabulary.
    assert "outside the folders to read" in put(client, node, vocabulary=str(places / "mine" / "a.wav"))
    assert put(client, node, directory=str(places / "mine" / "deeper")) == ""
    assert node.autostart(), node.start_error
    assert (places / "mine" / "deeper").is_dir()
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("node_class", "parameter", "value"),
    [
        (EncoderNode, "checkpoint", "/etc/passwd"),
        (EncoderNode, "bound", ["", "/etc"]),
        (RecognizerNode, "class_set", "/etc/passwd"),
        (CameraNode, "source", "/etc/passwd"),
        (CameraNode, "source", "file:///etc/passwd"),
        (CameraNode, "source", "concat:/etc/passwd"),
        (CameraNode, "source", "/dev/video7"),
        (ImuNode, "port", "spy:///dev/ttyUSB0?file=/tmp/keys"),
        (ImuNode, "port", "/dev/tty1"),
    ],
)
def test_other_nodes_refuse_other_files(client, running, node_class, parameter, value):
    node = running.make(node_class, start=False)
    running.serve()
    before = node.settings[parameter]
    assert "outside the folders to read" in put(client, node, **{parameter: value})
    assert node.settings[parameter] == before


def test_devices_by_number_addresses_and_the_first_device_are_allowed(client, running, places):
    camera = running.make(CameraNode, start=False, source="/dev/video3", read_folders=[str(places)])
    running.serve()
    for source in ("1", "rtsp://10.0.0.7/front", "/dev/video3", str(places / "mine" / "%04d.png")):
        assert put(client, camera, source=source) == ""
        assert camera.settings["source"] == source
    assert "outside the folders" in put(client, camera, source="/dev/video4")


def test_services_take_contents_and_no_paths():
    """If a field of a request came to name a file, it would need this rule as well."""
    texts = {name for name, kind in Content.get_fields_and_field_types().items() if kind == "string"}
    assert texts == {"modality", "text"}
