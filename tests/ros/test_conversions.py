"""Audio, IMU and embedding messages to samples and back."""

import numpy as np
import pytest
from imagebind_msgs.msg import Embedding as EmbeddingMessage
from messages import audio
from sensor_msgs.msg import Imu

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.nodes.conversions import (
    audio_message,
    audio_sample,
    embedding,
    embedding_message,
    imu_sample,
    to_nanoseconds,
    to_time,
)
from imagebind_node.samples import AudioSample, Modality

MONO = np.linspace(-1, 1, 12, dtype=np.float32)
SPACE = Space("concept", 4)


@pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999, 1_000_000_000, 1_795_536_838_000_000_001])
def test_time_round_trip(nanoseconds):
    assert to_nanoseconds(to_time(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("shape", [(12,), (6, 2), (3, 4)])
def test_audio_round_trip(shape):
    sample = AudioSample(MONO.reshape(shape), 44100, 123, "ear")
    message = audio_message(sample, 77)
    assert (message.sequence, message.channels) == (77, 1 if len(shape) == 1 else shape[1])
    back = audio_sample(message)
    np.testing.assert_array_equal(back.data, sample.data)
    assert (back.sample_rate, back.stamp, back.frame_id) == (44100, 123, "ear")


def test_audio_is_a_view_of_the_message():
    message = audio(MONO)
    assert np.shares_memory(audio_sample(message).data, np.frombuffer(message.data, np.float32))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (audio(MONO, channels=0), "channels must be 1 to 64, got 0"),
        (audio(MONO, channels=65), "channels must be 1 to 64, got 65"),
        (audio(MONO, channels=5), "12 values, which is not a multiple of 5 channels"),
        (audio(MONO, rate=0), "sample rate must be"),
        (audio(MONO[:0]), "audio is empty"),
        (audio(np.array([0.0, np.nan])), "NaN"),
        (audio(np.array([0.0, np.inf])), "NaN or infinite"),
    ],
)
def test_bad_audio_is_refused(message, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        audio_sample(message)


def test_imu():
    messages = []
    for index in range(3):
        message = Imu()
        message.header.frame_id = "imu"
        message.header.stamp = to_time(10**18 + index * 5_000_000)
        message.linear_acceleration.z, message.angular_velocity.x = 9.81, 0.1 * index
        messages.append(message)
    sample = imu_sample(messages)
    np.testing.assert_allclose(sample.times, [0, 0.005, 0.010], atol=1e-12)
    np.testing.assert_allclose(sample.data[2], [0, 0, 9.81, 0.2, 0, 0], rtol=1e-6)
    assert (sample.stamp, sample.frame_id) == (10**18 + 10_000_000, "imu")
    with pytest.raises(InvalidInputError, match="strictly increasing"):
        imu_sample([messages[1], messages[0]])
    with pytest.raises(InvalidInputError, match="at least 2"):
        imu_sample(messages[:1])


def make(**fields):
    values = {"space": "concept", "modality": "audio", "vector": [0.0, 0.6, 0.8, 0.0], "confidence": 1.0}
    return EmbeddingMessage(**{**values, **fields})


def test_embedding_round_trip():
    original = Embedding(
        vector=np.array([0.5, 0.5, 0.5, -0.5]),
        modality=Modality.AUDIO,
        space=SPACE,
        stamp=1_795_536_838_000_000_001,
        frame_id="ear",
        window=0.975,
        confidence=0.25,
        labels=(("Dog", 0.5), ("Bark", 0.25)),
    )
    message = embedding_message(original, "concept/fp32")
    assert message.model == "concept/fp32"
    assert (message.window.sec, message.window.nanosec) == (0, 975_000_000)
    back = embedding(message, SPACE)
    np.testing.assert_array_equal(back.vector, original.vector)
    for name in ("modality", "space", "stamp", "frame_id", "confidence", "abstained", "labels"):
        assert getattr(back, name) == getattr(original, name)
    assert back.window == pytest.approx(0.975)


def test_abstained_embedding_without_vector():
    message = make(vector=[], abstained=True, confidence=0.0)
    back = embedding(message, SPACE)
    assert back.abstained
    assert back.vector.size == 0
    assert embedding_message(back, "").abstained


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (make(space=""), "space is empty"),
        (make(vector=[0.0] * 4), "zero, NaN"),
        (make(vector=[np.nan] * 4), "zero, NaN"),
        (make(vector=[]), "must be marked as abstained"),
        (make(modality="Smell!"), "cannot be the name of a modality"),
        (make(confidence=7.0), "confidence must be 0 to 1"),
        (make(labels=["a"]), "1 labels but 0 label_scores"),
    ],
)
def test_bad_embedding_is_refused(message, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        embedding(message, SPACE if len(message.vector) else None)


@pytest.mark.parametrize(
    "message",
    [make(space="imagebind_huge"), make(vector=[1.0] * 5), make(space="x", vector=[], abstained=True)],
)
def test_other_space_is_refused_by_name(message):
    with pytest.raises(SpaceMismatchError, match="'concept'"):
        embedding(message, SPACE)
