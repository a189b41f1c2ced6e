"""Transitions over the real services, parameters validated on set, diagnostics on the real topic."""

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from graph import eventually
from imagebind_msgs.msg import Audio, Embedding
from imagebind_msgs.srv import Encode
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from messages import demo_picture, image, text
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode


class Manager:
    """What a lifecycle manager does, over services."""

    def __init__(self, client, name="encoder"):
        self.client, self.name = client, name

    def state(self):
        response = self.client.call(GetState, f"{self.name}/get_state", GetState.Request())
        return response.current_state.id

    def change(self, transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.client.call(ChangeState, f"{self.name}/change_state", request).success

    def set(self, name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return self.client.call(SetParameters, f"{self.name}/set_parameters", request).results[0]


def embeddings_flow(client, heard):
    publisher = client.publisher(Image, "camera/image_raw", qos.SENSOR)
    before = len(heard)
    eventually(lambda: publisher.publish(image(demo_picture())) or len(heard) > before, "embeddings")


@pytest.mark.timeout(300)
def test_every_transition_twice(client, running):
    node = running.make(
        EncoderNode, start=False, modalities=["vision"], max_age=0.0, autostart=False, transport="raw"
    )
    running.serve()
    manager = Manager(client)
    heard = client.collect(Embedding, "embedding/vision", qos.RESULT)
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):
        assert manager.change(Transition.TRANSITION_CONFIGURE)
        assert manager.state() == State.PRIMARY_STATE_INACTIVE
        assert client.node.count_subscribers("camera/image_raw") == 0
        refused = client.call(Encode, "encoder/encode", Encode.Request(content=text("a dog")))
        assert not refused.success
        assert "is not active" in refused.message
        assert manager.change(Transition.TRANSITION_ACTIVATE)
        assert manager.state() == State.PRIMARY_STATE_ACTIVE
        embeddings_flow(client, heard)
        assert manager.change(Transition.TRANSITION_DEACTIVATE)
        eventually(lambda: client.node.count_subscribers("camera/image_raw") == 0, "unsubscription")
        assert manager.change(Transition.TRANSITION_CLEANUP)
        assert node._encoder is None
        assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
        eventually(lambda: client.node.count_publishers("embedding/vision") == 0, "no publisher")
    assert manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.change(Transition.TRANSITION_ACTIVATE)
    assert manager.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert manager.state() == State.PRIMARY_STATE_FINALIZED


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"model": "no_such_model"}, "unknown model 'no_such_model'"),
        ({"checkpoint": "/nowhere/weights.pth", "model": "imagebind_huge"}, "/nowhere/weights.pth"),
        ({"device": "cuda:0"}, "no CUDA GPU"),
    ],
)
def test_what_cannot_be_configured_says_why_and_can_be_mended(client, running, parameters, complaint):
    node = running.make(EncoderNode, start=False, **{"modalities": ["text"], **parameters})
    running.serve()
    manager = Manager(client)
    assert not manager.change(Transition.TRANSITION_CONFIGURE)
    assert complaint in str(node.start_error)
    assert "\n" not in str(node.start_error)
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
    mended = {"model": "concept", "modalities": ["text"], "checkpoint": "", "device": "cpu"}
    for name in parameters:
        assert manager.set(name, mended[name]).successful
    assert manager.change(Transition.TRANSITION_CONFIGURE)


def test_parameters_are_described_and_checked(client, running):
    running.make(EncoderNode, modalities=["text"])
    running.serve()
    manager = Manager(client)
    request = DescribeParameters.Request(names=["rate.vision", "precision", "hop"])
    described = client.call(DescribeParameters, "encoder/describe_parameters", request).descriptors
    assert described[0].floating_point_range[0].to_value == 1000.0
    assert "One of: fp32, bf16, fp16, int8." in described[1].description
    assert "Read when the node configures." in described[2].description
    assert manager.set("rate.vision", 5.0).successful
    refused = manager.set("rate.vision", -1.0)
    assert not refused.successful
    refused = manager.set("precision", "fp7")
    assert not refused.successful
    assert "'fp7' is not one of" in refused.reason
    refused = manager.set("hop", 0.5)
    assert not refused.successful
    assert "clean up the node first" in refused.reason


def test_diagnostics_tell_of_rates_and_of_incompatible_peers_on_both_ends(client, running):
    running.make(EncoderNode, modalities=["audio"])
    running.serve()
    arrays = client.collect(DiagnosticArray, "/diagnostics")
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    client.node.create_publisher(Audio, "audio", best_effort)

    def statuses():
        name = f"{client.node.get_namespace()}/encoder: "
        return {
            s.name.removeprefix(name): s for a in list(arrays) for s in a.status if s.name.startswith(name)
        }

    eventually(lambda: "audio" in statuses(), "diagnostics")
    values = {pair.key for pair in statuses()["audio"].values}
    assert {"input rate (Hz)", "latency p95 (ms)", "encoding p50 (ms)", "dropped", "lost frames"} <= values

    def warning():
        status = statuses().get("qos")
        return status if status and status.level != b"\x00" else None

    text_ = eventually(warning, "a QoS warning").message
    assert f"{client.node.get_namespace()}/client" in text_
    assert f"{client.node.get_namespace()}/encoder" in text_
    assert "/audio" in text_
