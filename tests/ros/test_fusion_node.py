"""The fusion node over DDS: embeddings of several senses in, one out, and an event when the scene changes."""

import numpy as np
import pytest
from graph import eventually
from imagebind_msgs.msg import Embedding, SceneChange
from messages import audio, demo_picture, demo_sound, image, new_stamp
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.nodes.fusion import FusionNode
from imagebind_node.streaming.exchange import Exchange


def made(modality, direction, confidence=1.0, space="test", **fields):
    vector = np.zeros(8, np.float32)
    vector[direction] = 1.0
    return Embedding(
        header=Header(stamp=new_stamp(), frame_id=modality),
        space=space,
        modality=modality,
        model=f"{space}/fp32",
        vector=vector.tolist(),
        confidence=confidence,
        **fields,
    )


class Graph:
    def __init__(self, client, running, **parameters):
        self.client = client
        self.node = running.make(FusionNode, **parameters)
        running.serve()
        self.fused = client.collect(Embedding, "embedding/fused", qos.RESULT)
        self.events = client.collect(SceneChange, "event", qos.RESULT)
        # Not only known of, but matched: what is published before that is lost.
        for publisher in self.node.publishers:
            if publisher.topic_name.endswith(("embedding/fused", "/event")):
                eventually(lambda p=publisher: p.get_subscription_count() > 0, publisher.topic_name)

    def send(self, *messages):
        """Publish, and wait for a fused embedding that is as new as the newest of them."""
        for message in messages:
            self.client.publisher(Embedding, f"embedding/{message.modality}", qos.RESULT).publish(message)
        stamp = messages[-1].header.stamp
        return eventually(lambda: next((e for e in self.fused if e.header.stamp == stamp), None), "fusion")


@pytest.fixture
def graph(client, running):
    return Graph(client, running, weight__audio=3.0, slop=0.5, change_threshold=0.3, change_refractory=0.0)


def test_senses_are_added_up_and_the_message_says_how(graph):
    alone = graph.send(made("vision", 0))
    assert (alone.modality, list(alone.sources), list(alone.source_weights)) == ("fused", ["vision"], [1.0])
    assert alone.header.frame_id == "vision" and alone.model == "test/fp32"
    both = graph.send(made("vision", 0), made("audio", 1))
    shares = dict(zip(both.sources, both.source_weights))
    assert shares == pytest.approx({"audio": 0.75, "vision": 0.25}, abs=0.1)
    assert np.linalg.norm(both.vector) == pytest.approx(1.0, abs=1e-5)
    assert np.argmax(both.vector) == 1


def test_another_space_is_refused_by_name_and_the_node_goes_on(graph):
    graph.send(made("vision", 0))
    publisher = graph.client.publisher(Embedding, "embedding/audio", qos.RESULT)
    publisher.publish(made("audio", 1, space="elsewhere"))
    eventually(lambda: graph.node.errors.counts["embedding/audio"] == 1)
    assert "'elsewhere'" in graph.node.errors.last["embedding/audio"]
    assert list(graph.send(made("vision", 0)).sources) == ["vision"]


def test_nothing_confident_abstains(graph):
    fused = graph.send(made("vision", 0, confidence=0.0, abstained=True))
    assert fused.abstained and len(fused.vector) == 0 and list(fused.sources) == []


def test_a_change_of_scene_is_an_event(graph):
    for _ in range(5):
        graph.send(made("vision", 0))
    assert graph.events == []
    new = graph.send(made("vision", 2))
    event = eventually(lambda: graph.events, "an event")[0]
    assert event.header == new.header and event.embedding.sources == ["vision"]
    assert event.distance == pytest.approx(1.0, abs=1e-3) and event.threshold == pytest.approx(0.3)
    assert list(event.modalities) == ["vision"]


def test_weights_may_change_while_it_runs(graph):
    from rclpy.parameter import Parameter

    (result,) = graph.node.set_parameters([Parameter("weight.audio", value=0.0)])
    assert result.successful
    eventually(lambda: graph.node._fusion.weights["audio"] == 0, "the weights are read again")
    graph.send(made("vision", 0))
    graph.client.publisher(Embedding, "embedding/audio", qos.RESULT).publish(made("audio", 1))
    graph.send(made("vision", 0))
    graph.send(made("vision", 0))
    assert {tuple(e.sources) for e in graph.fused} == {("vision",)}
    (refused,) = graph.node.set_parameters([Parameter("weight.audio", value=-1.0)])
    assert not refused.successful


def test_with_the_real_encoder_in_one_process(client, running):
    exchange = Exchange()
    encoder = running.make(EncoderNode, exchange=exchange, modalities=["vision", "audio"], max_age=0.0)
    fusion = running.make(FusionNode, exchange=exchange, slop=1.0)
    running.serve()
    fused = client.collect(Embedding, "embedding/fused", qos.RESULT)
    camera = client.publisher(Image, "camera/image_raw", qos.SENSOR)
    from imagebind_msgs.msg import Audio

    microphone, sound, sequence = client.publisher(Audio, "audio", qos.audio()), demo_sound("dog"), [0]

    def both():
        camera.publish(image(demo_picture()))
        first = sequence[0] % (len(sound) - 1600)
        microphone.publish(audio(sound[first : first + 1600], 16000, sequence[0]))
        sequence[0] += 1600
        return any(set(e.sources) == {"vision", "audio"} for e in fused)

    eventually(both, "a fusion of both")
    assert {e.space for e in fused} == {encoder._encoder.space.id}
    assert sum(fusion.errors.counts.values()) == 0
