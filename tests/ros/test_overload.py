"""Ten times more than the encoder can do: every modality keeps its share, results are fresh, drops are published."""

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from graph import eventually
from imagebind_msgs.msg import Audio, Embedding
from messages import audio, demo_sound, image, new_stamp
from sensor_msgs.msg import Image, Imu
from std_msgs.msg import Header

from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode

SECONDS, COST = 8.0, 0.2
# Together 50 a second; at 0.2 s each, 5 can be done.
RATES = {"vision": 15.0, "audio": 10.0, "depth": 10.0, "thermal": 10.0, "imu": 5.0}


@pytest.fixture
def node(running):
    """The real node with the real encoder, each call of which takes `COST` s."""
    made = running.make(EncoderNode, max_age=0.0, imu_hop=0.2)
    encoder = made._encoder
    plain = encoder.encode_inputs

    def slow(modality, inputs, samples):
        begin = time.monotonic()
        found = plain(modality, inputs, samples)
        time.sleep(max(0.0, COST - (time.monotonic() - begin)))
        return found

    encoder.encode_inputs = slow
    running.serve()
    return made


def test_share_freshness_and_counted_drops(client, node):
    heard = {m: [] for m in RATES}
    for modality in RATES:
        client.node.create_subscription(
            Embedding,
            f"embedding/{modality}",
            lambda e, m=modality: heard[m].append((time.time(), e)),
            qos.RESULT,
        )
        eventually(lambda m=modality: client.node.count_publishers(f"embedding/{m}") > 0)
    statuses = client.collect(DiagnosticArray, "/diagnostics")
    cameras = {
        m: client.publisher(Image, t, qos.SENSOR)
        for m, t in (
            ("vision", "camera/image_raw"),
            ("depth", "depth/image_raw"),
            ("thermal", "thermal/image_raw"),
        )
    }
    microphone, imu = client.publisher(Audio, "audio", qos.audio()), client.publisher(Imu, "imu/data", 500)
    rng = np.random.default_rng(0)
    pictures = {
        "vision": (rng.integers(0, 256, (48, 64, 3), np.uint8), "rgb8"),
        "depth": (rng.uniform(0.5, 5, (48, 64)).astype(np.float32), "32FC1"),
        "thermal": (rng.integers(29000, 31000, (48, 64)).astype(np.uint16), "mono16"),
    }
    sound, sequence = np.resize(demo_sound("dog"), 16000 * 60), 0
    periods = {"vision": 1 / 15, "depth": 0.1, "thermal": 0.1, "audio": 0.02, "imu": 0.02}
    begin = time.monotonic()
    due = dict.fromkeys(periods, begin)
    while (now := time.monotonic()) < begin + 3.0 + SECONDS:
        for modality, period in periods.items():
            if now < due[modality]:
                continue
            due[modality] += period
            if modality in cameras:
                cameras[modality].publish(image(*pictures[modality]))
            elif modality == "audio":
                microphone.publish(audio(sound[sequence : sequence + 320], 16000, sequence))
                sequence += 320
            else:
                message = Imu(header=Header(stamp=new_stamp(), frame_id="belt"))
                message.linear_acceleration.x = 9.8
                message.angular_velocity.y = float(np.sin(now))
                imu.publish(message)
        time.sleep(0.002)
    # Sound needs a second for its first window: count from the end.
    end = time.time()
    counts = {m: sum(1 for when, _ in items if when > end - SECONDS) for m, items in heard.items()}
    total = sum(counts.values())
    for modality, rate in RATES.items():
        wanted = total * rate / sum(RATES.values())
        assert 0.5 * wanted - 1.5 <= counts[modality] <= 1.6 * wanted + 2.5, (modality, counts)
    for modality, items in heard.items():
        ages = [t - e.header.stamp.sec - e.header.stamp.nanosec * 1e-9 for t, e in items]
        # The newest at its turn (a period old at most), and its own encoding; no queue that grows.
        assert np.median(ages[len(ages) // 2 :]) < np.median(ages[: len(ages) // 2 + 1]) + 1.0, modality
        assert max(ages) < 3.0, (modality, max(ages))
    published = {}

    def counted():
        for array in list(statuses):
            for status in array.status:
                published[status.name.rsplit(": ", 1)[1]] = {v.key: v.value for v in status.values}
        return all(int(published.get(m, {}).get("dropped", 0)) > 20 for m in cameras)

    eventually(counted, "published drops")
    assert int(published["audio"]["skipped hops"]) > 20 and int(published["audio"]["lost frames"]) == 0
    assert int(published["imu"]["skipped hops"]) > 5
    assert sum(node.errors.counts.values()) == 0
