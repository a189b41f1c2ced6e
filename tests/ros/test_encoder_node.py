"""The encoder node over DDS with the embedded model: topics in, embeddings out, and nothing brings it down."""

import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from graph import eventually
from imagebind_msgs.msg import Audio, Content, Embedding
from imagebind_msgs.srv import Encode
from messages import audio, compressed, demo_picture, demo_sound, image, new_stamp, picture, sound, text
from sensor_msgs.msg import CompressedImage, Image

from imagebind_node.encoders.base import load_encoder
from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.samples import Modality

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (48, 64, 3), np.uint8)
BLOCK = 320


class Graph:
    """An active encoder node and a client that hears all its embeddings."""

    def __init__(self, client, running):
        self.client = client
        self.node = running.make(
            EncoderNode, max_age=0.0, rate__vision=0.0, rate__depth=0.0, rate__thermal=0.0
        )
        running.serve()
        self.heard = {
            m: client.collect(Embedding, f"embedding/{m}", qos.RESULT)
            for m in ("vision", "depth", "thermal", "audio")
        }
        for modality in self.heard:
            eventually(lambda m=modality: self.client.node.count_publishers(f"embedding/{m}") > 0)
        self.sequence = 0

    def errors(self, source):
        return self.node.errors.counts[source]

    def send_picture(self, message, modality="vision"):
        topics = {"vision": "camera/image_raw", "depth": "depth/image_raw", "thermal": "thermal/image_raw"}
        self.client.publisher(Image, topics[modality], qos.SENSOR).publish(message)

    def embed_picture(self, message, modality="vision"):
        """Publish until the embedding of just this message has come (best effort may lose it)."""
        heard, stamp = self.heard[modality], message.header.stamp

        def answer():
            self.send_picture(message, modality)
            return next((e for e in heard if e.header.stamp == stamp), None)

        return eventually(answer, f"the {modality} embedding")

    def refuse_picture(self, message, modality="vision"):
        """Publish, stamped anew as a camera does, until one more error has been counted; returns its text."""
        before = self.errors(modality)

        def refused():
            message.header.stamp = new_stamp()
            self.send_picture(message, modality)
            return self.errors(modality) > before

        eventually(refused, "an error")
        return self.node.errors.last[modality]

    def send_sound(self, samples, rate=16000, block=BLOCK, **fields):
        """Publish `samples` as blocks that follow the ones before."""
        publisher = self.client.publisher(Audio, "audio", qos.audio())
        for first in range(0, len(samples), block):
            piece = samples[first : first + block]
            publisher.publish(audio(piece, rate, self.sequence, **fields))
            self.sequence += len(piece)
            # About as a microphone does: sent in one go, the newest window is all that gets encoded.
            time.sleep(len(piece) / rate / 2)

    def embed_sound(self, samples, rate=16000, **options):
        """The embeddings that come while `samples` are played, at least one."""
        before = len(self.heard["audio"])
        self.send_sound(samples, rate, **options)
        eventually(lambda: len(self.heard["audio"]) > before, "an audio embedding")
        return self.heard["audio"][before:]

    def encode(self, content):
        return self.client.call(Encode, "encoder/encode", Encode.Request(content=content))


@pytest.fixture(scope="module")
def graph(module_client, module_running):
    return Graph(module_client, module_running)


def test_camera_frame_becomes_the_embedding_that_the_library_makes(graph):
    message = image(demo_picture())
    got = graph.embed_picture(message)
    assert got.header == message.header
    assert (got.space, got.modality, got.model) == (graph.node._encoder.space.id, "vision", "concept/fp32")
    assert (got.window.sec, got.window.nanosec) == (0, 0)
    vector = np.array(got.vector)
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4)
    alone = load_encoder("concept", modalities=["vision"]).encode("vision", [demo_picture()])[0]
    assert vector @ alone.vector > 0.9999
    assert list(got.labels) == [name for name, _ in alone.labels]


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "mono8"])
def test_other_encodings_mean_the_same_picture(graph, encoding):
    colours = demo_picture()
    data = {
        "bgr8": colours[..., ::-1],
        "rgba8": np.concatenate([colours, np.full((*colours.shape[:2], 1), 255, np.uint8)], 2),
        "mono8": colours.mean(2).astype(np.uint8),
    }[encoding]
    reference = np.array(graph.embed_picture(image(colours)).vector)
    got = np.array(graph.embed_picture(image(data, encoding, padding=16)).vector)
    assert got @ reference > (0.9999 if encoding != "mono8" else 0.2)


def test_depth_and_thermal(graph):
    metres = np.linspace(0.5, 5, 48 * 64, dtype=np.float32).reshape(48, 64)
    depth = graph.embed_picture(image(metres, "32FC1"), "depth")
    assert (depth.modality, len(depth.vector)) == ("depth", 384)
    counts = (30000 + 10 * np.arange(48 * 64).reshape(48, 64)).astype(np.uint16)
    thermal = graph.embed_picture(image(counts, "mono16"), "thermal")
    assert (thermal.modality, len(thermal.vector)) == ("thermal", 384)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (image(NOISE, "yuv422_yuy2"), "'yuv422_yuy2' is not supported"),
        (image(NOISE, "rgb8", width=0), "empty (0x48 pixels)"),
        (image(NOISE, "rgb8", step=100), "step is 100 bytes"),
        (image(NOISE, "rgb8", height=500), "data holds 9216 bytes"),
        (image(NOISE, "16UC1", step=192), "'16UC1' is not a vision picture"),
    ],
)
def test_a_bad_picture_is_refused_in_one_line_and_the_next_is_encoded(graph, message, complaint):
    assert complaint in graph.refuse_picture(message)
    good = graph.embed_picture(image(NOISE))
    assert len(good.vector) == 384


def test_pictures_of_a_clock_that_stepped_back_a_little_are_encoded(graph):
    newest = graph.embed_picture(image(NOISE)).header.stamp
    began = newest.sec * 10**9 + newest.nanosec - 500_000_000
    heard, sent = graph.heard["vision"], []

    def encoded():
        message = image(NOISE)
        stamp = began + 1_000_000 * len(sent)
        message.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
        sent.append(message.header.stamp)
        graph.send_picture(message)
        return any(e.header.stamp in sent for e in heard)

    eventually(encoded, "a picture of the earlier time")


def test_a_stamp_that_stands_still_is_named(graph):
    still = image(NOISE)
    graph.embed_picture(still)

    def complaint():
        time.sleep(0.05)
        graph.send_picture(still)
        return "its stamps repeat or step back" in graph.node._report(Modality.VISION).message

    eventually(complaint, "the complaint")
    graph.embed_picture(image(NOISE))


def test_extreme_sizes_are_encoded(graph):
    for shape in ((1, 1, 3), (1, 10_000, 3), (2000, 2, 3)):
        assert len(graph.embed_picture(image(np.full(shape, 77, np.uint8))).vector) == 384


@pytest.mark.parametrize("form", ["32FC1", "16UC1"])
def test_depth_without_any_measurement(graph, form):
    nothing = np.full((48, 64), np.nan, np.float32) if form == "32FC1" else np.zeros((48, 64), np.uint16)
    graph.send_picture(image(nothing, form), "depth")
    metres = np.linspace(0.5, 5, 48 * 64, dtype=np.float32).reshape(48, 64)
    assert len(graph.embed_picture(image(metres, "32FC1"), "depth").vector) == 384


def test_sound_is_recognised_in_a_window_that_slides(graph):
    got = graph.embed_sound(np.concatenate([demo_sound("dog")[: 4 * 16000]]))
    eventually(lambda: len(graph.heard["audio"]) > 8, "several embeddings")
    assert any("Dog" in e.labels for e in graph.heard["audio"][-20:])
    one = got[0]
    assert (one.modality, one.header.frame_id) == ("audio", "ear")
    assert 0.5 < one.window.sec + one.window.nanosec * 1e-9 < 2.5


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_silence_abstains(graph, level):
    hiss = (level * RNG.standard_normal(3 * 16000)).astype(np.float32)
    graph.embed_sound(hiss)
    eventually(lambda: graph.heard["audio"][-1].abstained, "abstention")


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (8000, 1), (44100, 1)])
def test_other_sample_rates_and_channels(graph, rate, channels):
    source = demo_sound("dog")[: 3 * 16000]
    positions = np.arange(3 * rate) * 16000 / rate
    data = np.interp(positions, np.arange(len(source)), source).astype(np.float32)
    data = data if channels == 1 else np.stack([data] * channels, 1)
    before = len(graph.heard["audio"])
    graph.embed_sound(data, rate, block=rate // 50)
    eventually(lambda: any("Dog" in e.labels for e in graph.heard["audio"][before:]), "a dog")


def test_clipped_sound_is_still_sound(graph):
    before = len(graph.heard["audio"])
    graph.embed_sound(np.clip(demo_sound("dog")[: 3 * 16000] * 20, -1, 1))
    eventually(lambda: any(not e.abstained for e in graph.heard["audio"][before:]), "an embedding")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"data": [float("nan")] * BLOCK}, "NaN"),
        ({"data": []}, "empty"),
        ({"channels": 0}, "channels must be"),
        ({"channels": 7}, "not a multiple of 7"),
        ({"sample_rate": 3}, "sample rate must be"),
    ],
)
def test_a_bad_block_is_refused_and_the_sound_goes_on(graph, fields, complaint):
    before = graph.errors("audio")
    graph.send_sound(np.zeros(BLOCK, np.float32), **fields)
    eventually(lambda: graph.errors("audio") > before, "an error")
    assert complaint in graph.node.errors.last["audio"]
    assert graph.embed_sound(demo_sound("cow")[: 2 * 16000])


def test_a_sequence_that_stands_still_is_named(graph):
    publisher = graph.client.publisher(Audio, "audio", qos.audio())
    still = audio(np.zeros(BLOCK, np.float32), sequence=graph.sequence)

    def complaint():
        time.sleep(0.02)
        publisher.publish(still)
        return "its sequence does not count the frames" in graph.node._report(Modality.AUDIO).message

    eventually(complaint, "the complaint")
    graph.sequence += BLOCK


def test_a_gap_in_the_sound_is_counted(graph):
    graph.embed_sound(demo_sound("cow")[: 2 * 16000])
    before = graph.node._audio.stream.lost_frames
    graph.sequence += 1234
    graph.embed_sound(demo_sound("cow")[: 2 * 16000])
    assert graph.node._audio.stream.lost_frames - before == 1234


def test_service_encodes_every_modality_into_the_same_space(graph):
    dog = {
        "text": graph.encode(text("a dog")),
        "sound": graph.encode(sound(demo_sound("dog")[:32000])),
        "picture": graph.encode(picture(demo_picture())),
    }
    for name, response in dog.items():
        assert response.success, (name, response.message)
        assert response.message == ""
        assert len(response.embedding.vector) == 384
    spaces = {response.embedding.space for response in dog.values()}
    assert len(spaces) == 1
    cow = graph.encode(text("a cow")).embedding
    bark = np.array(dog["sound"].embedding.vector)
    assert bark @ np.array(dog["text"].embedding.vector) > bark @ np.array(cow.vector)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (Content(modality="smell"), "unknown modality 'smell'"),
        (Content(modality=""), "unknown modality ''"),
        (text("   "), "text is empty"),
        (Content(modality="vision"), "image encoding '' is not supported"),
        (Content(modality="audio"), "channels must be"),
        (Content(modality="imu"), "at least 2 messages"),
        (
            Content(
                modality="embedding",
                embedding=Embedding(space="imagebind_huge", modality="audio", vector=[1.0] * 384),
            ),
            "'imagebind_huge'",
        ),
    ],
)
def test_service_says_what_is_wrong_and_lives_on(graph, content, complaint):
    response = graph.encode(content)
    assert not response.success
    assert complaint in response.message
    assert "\n" not in response.message
    assert len(response.embedding.vector) == 0
    assert graph.encode(text("a dog")).success


def test_compressed_topic_is_used_while_nobody_publishes_the_raw_one(client, running):
    import io

    from PIL import Image as PILImage

    node = running.make(EncoderNode, modalities=["vision"], max_age=0.0)
    running.serve()
    heard = client.collect(Embedding, "embedding/vision", qos.RESULT)
    publisher = client.publisher(CompressedImage, "camera/image_raw/compressed", qos.SENSOR)
    jpeg = io.BytesIO()
    PILImage.fromarray(demo_picture()).save(jpeg, "JPEG")

    def answered():
        publisher.publish(compressed(jpeg.getvalue()))
        return heard

    eventually(answered, "an embedding of a compressed picture")
    before = node.errors.counts["vision"]

    def refused():
        publisher.publish(compressed(jpeg.getvalue()[:500]))
        return node.errors.counts["vision"] > before

    eventually(refused, "an error")
    assert "not a whole JPEG" in node.errors.last["vision"]
    count = len(heard)
    eventually(lambda: answered() and len(heard) > count, "the next embedding")


def test_a_frame_that_is_too_old_is_dropped(client, running):
    node = running.make(EncoderNode, modalities=["vision"], max_age=0.5, transport="raw")
    running.serve()
    heard = client.collect(Embedding, "embedding/vision", qos.RESULT)
    publisher = client.publisher(Image, "camera/image_raw", qos.SENSOR)
    old = image(NOISE)
    old.header.stamp.sec -= 5

    def dropped():
        publisher.publish(old)
        return node._pictures and next(iter(node._pictures.values())).stale > 0

    eventually(dropped, "a drop")
    # The machine may be slower than max_age: fresh frames until one is quick enough.
    eventually(lambda: publisher.publish(image(NOISE)) or heard, "a fresh frame")
    assert all(e.header.stamp.sec != old.header.stamp.sec for e in heard)
    # What was too old once is not blamed later, when the pictures are bad for another reason.
    bad = image(NOISE)
    bad.encoding = "nonsense"

    def complaint():
        time.sleep(0.1)
        bad.header.stamp = image(NOISE).header.stamp
        publisher.publish(bad)
        return "can be used" in node._report(Modality.VISION).message

    eventually(complaint, "the complaint about what comes now")
