"""Sound and motion that come while an encoder still reads its weights are the first that it embeds."""

import time

import pytest
from graph import eventually
from imagebind_msgs.msg import Audio, Embedding
from messages import audio, demo_sound, new_stamp
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from imagebind_node.nodes import encoder, qos

BLOCK = 320


def motion():
    message = Imu(header=Header(stamp=new_stamp(), frame_id="belt"))
    message.orientation_covariance[0] = -1.0
    message.linear_acceleration.x = 9.8
    return message


@pytest.mark.timeout(300)
def test_what_comes_while_the_weights_are_read_is_not_lost(client, running, monkeypatch):
    load = encoder.load_model
    heard = {kind: client.collect(Embedding, f"embedding/{kind}", qos.RESULT) for kind in ("audio", "imu")}

    def load_slowly(*arguments):
        # A bark and motion, once the node has subscribed; nothing comes afterwards.
        sound = client.publisher(Audio, "audio", qos.audio())
        imu = client.publisher(Imu, "imu/data", 500)
        bark = demo_sound("dog")[: 100 * BLOCK]
        for number in range(100):
            block = bark[number * BLOCK : (number + 1) * BLOCK]
            sound.publish(audio(block, sequence=number * BLOCK))
        # Best effort: the first ones may come before the node has found out who sends them.
        start = new_stamp()
        for number in range(200):
            time.sleep(0.005)
            message = motion()
            nanoseconds = start.nanosec + number * 10_000_000
            message.header.stamp.sec = start.sec + nanoseconds // 10**9
            message.header.stamp.nanosec = nanoseconds % 10**9
            imu.publish(message)
        return load(*arguments)

    monkeypatch.setattr(encoder, "load_model", load_slowly)
    node = running.make(encoder.EncoderNode, modalities=["audio", "imu"], max_age=0.0)
    running.serve()
    eventually(lambda: heard["audio"] or node.errors.last, "an embedding of the bark")
    assert heard["audio"], node.errors.last
    eventually(lambda: node._audio.stream.received_frames == 100 * BLOCK, "every sample")
    assert node._audio.stream.lost_frames == 0
    eventually(lambda: heard["imu"] or node.errors.last, "an embedding of the motion")
    assert heard["imu"], node.errors.last


def test_without_autostart_nothing_is_subscribed_before_activation(client, running):
    node = running.make(encoder.EncoderNode, start=False, modalities=["audio"], autostart=False)
    publisher = client.node.create_publisher(Audio, "audio", qos.audio())
    assert node.trigger_configure().name == "SUCCESS"
    assert node.get_subscriptions_info_by_topic(publisher.topic_name) == []
    assert node.trigger_activate().name == "SUCCESS"
    eventually(lambda: publisher.get_subscription_count() == 1, "a subscriber")
    assert node.trigger_deactivate().name == "SUCCESS"
    eventually(lambda: publisher.get_subscription_count() == 0, "no subscriber")
