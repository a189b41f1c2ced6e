"""Messages to samples and back. Every refusal is one InvalidInputError that names the field."""

from __future__ import annotations

import array
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from imagebind_msgs.msg import Audio
from imagebind_msgs.msg import Embedding as EmbeddingMessage
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import AudioSample, ImuSample, Modality, new_modality
from imagebind_node.sensors.inertial import ImuReading

MAX_AUDIO_CHANNELS = 64


def to_nanoseconds(stamp: Time) -> int:
    """Time message -> integer nanoseconds."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_time(nanoseconds: int) -> Time:
    """Integer nanoseconds -> Time message."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def header(stamp: int, frame_id: str) -> Header:
    """Header from nanoseconds and frame."""
    return Header(stamp=to_time(stamp), frame_id=frame_id)


def audio_sample(message: Audio) -> AudioSample:
    """Audio message -> sample: float32 (N,) for one channel, else (N, channels), a view of the message buffer."""
    channels = message.channels
    if not 1 <= channels <= MAX_AUDIO_CHANNELS:
        raise InvalidInputError(f"Audio.channels must be 1 to {MAX_AUDIO_CHANNELS}, got {channels}")
    data = np.frombuffer(message.data, np.float32)
    if len(data) % channels:
        raise InvalidInputError(
            f"Audio.data holds {len(data)} values, which is not a multiple of {channels} channels"
        )
    return AudioSample(
        data if channels == 1 else data.reshape(-1, channels),
        message.sample_rate,
        to_nanoseconds(message.header.stamp),
        message.header.frame_id,
    )


def audio_message(sample: AudioSample, sequence: int) -> Audio:
    """Sample -> Audio message; `sequence` is the index of its first frame since the driver started."""
    data = array.array("f")
    data.frombytes(np.ascontiguousarray(sample.data).tobytes())
    return Audio(
        header=header(sample.stamp, sample.frame_id),
        sample_rate=sample.sample_rate,
        channels=1 if sample.data.ndim == 1 else sample.data.shape[1],
        sequence=sequence,
        data=data,
    )


ImuRow = tuple[float, float, float, float, float, float]


def imu_row(message: Imu) -> ImuRow:
    """Imu message (REP-145) -> acceleration x, y, z in m/s^2 and turn rate x, y, z in rad/s.

    Raises InvalidInputError if either is not measured (first element of its covariance -1) or not finite.
    """
    acceleration, turn = message.linear_acceleration, message.angular_velocity
    return checked_imu_row(
        (acceleration.x, acceleration.y, acceleration.z, turn.x, turn.y, turn.z),
        message.linear_acceleration_covariance[0],
        message.angular_velocity_covariance[0],
    )


def checked_imu_row(row: ImuRow, acceleration_covariance: float, turn_covariance: float) -> ImuRow:
    """`row` as it is; the others are the first elements of the covariances. Raises as `imu_row` does."""
    for covariance, what in (
        (acceleration_covariance, "linear_acceleration"),
        (turn_covariance, "angular_velocity"),
    ):
        if covariance == -1:
            raise InvalidInputError(
                f"Imu.{what} is not measured (its covariance is -1): publish both halves in one message, "
                "with realsense-ros by unite_imu_method:=2"
            )
    if not math.isfinite(sum(row)):
        raise InvalidInputError("Imu holds NaN or infinite values: check the driver")
    return row


def imu_message(reading: ImuReading, frame_id: str, variances: tuple[float, float]) -> Imu:
    """Reading -> Imu message (REP-145) without orientation.

    variances: of acceleration, (m/s^2)^2, and turn rate, (rad/s)^2, alike on the three axes; 0 = unknown.
    """
    message = Imu(header=header(reading.stamp, frame_id))
    acceleration, turn = message.linear_acceleration, message.angular_velocity
    acceleration.x, acceleration.y, acceleration.z = reading.acceleration
    turn.x, turn.y, turn.z = reading.turn_rate
    message.orientation_covariance[0] = -1.0  # no orientation
    message.linear_acceleration_covariance[::4] = variances[0]
    message.angular_velocity_covariance[::4] = variances[1]
    return message


def imu_sample(messages: Sequence[Imu]) -> ImuSample:
    """Imu messages in order of time -> sample with times in seconds from the first one."""
    if len(messages) < 2:
        raise InvalidInputError(f"IMU needs at least 2 messages, got {len(messages)}")
    rows = [imu_row(message) for message in messages]
    stamps = np.array([to_nanoseconds(m.header.stamp) for m in messages], np.int64)
    last = messages[-1].header
    return ImuSample(np.array(rows, np.float32), (stamps - stamps[0]) / 1e9, int(stamps[-1]), last.frame_id)


def embedding_message(embedding: Embedding, model: str) -> EmbeddingMessage:
    """Embedding -> message; `model` names the network and its precision."""
    seconds, nanoseconds = divmod(round(embedding.window * 1e9), 1_000_000_000)
    vector = array.array("f")
    vector.frombytes(embedding.vector.tobytes())
    return EmbeddingMessage(
        header=header(embedding.stamp, embedding.frame_id),
        space=embedding.space.id,
        modality=embedding.modality.value,
        model=model,
        window=Duration(sec=seconds, nanosec=nanoseconds),
        vector=vector,
        confidence=float(embedding.confidence),
        abstained=embedding.abstained,
        labels=[name for name, _ in embedding.labels],
        label_scores=[float(score) for _, score in embedding.labels],
    )


def embedding(message: EmbeddingMessage, space: Space | None = None) -> Embedding:
    """Message -> embedding. With `space`, another space is refused by name before the vector is looked at."""
    if not message.space:
        raise InvalidInputError("Embedding.space is empty: say which model made the vector")
    vector = np.array(message.vector, np.float32)
    # An abstained message may come without a vector: then its width says nothing about its space.
    width = len(vector) if len(vector) or space is None else space.dim
    own = Space(message.space, width)
    if space is not None:
        space.require_same(own)
    if len(message.labels) != len(message.label_scores):
        raise InvalidInputError(
            f"Embedding has {len(message.labels)} labels but {len(message.label_scores)} label_scores"
        )
    if not 0.0 <= message.confidence <= 1.0:
        raise InvalidInputError(f"Embedding.confidence must be 0 to 1, got {message.confidence}")
    fields: dict[str, Any] = {
        "stamp": to_nanoseconds(message.header.stamp),
        "frame_id": message.header.frame_id,
        "window": message.window.sec + message.window.nanosec * 1e-9,
    }
    return Embedding(
        vector=vector,
        modality=_modality(message.modality),
        space=own,
        confidence=float(message.confidence),
        abstained=bool(message.abstained),
        labels=tuple(zip(message.labels, message.label_scores)),
        **fields,
    )


def _modality(name: str) -> Modality:
    # A fused vector has no sense of its own; in every use of it here it is handled like a picture. Other nodes may
    # have towers of senses that were bound, which are not known here.
    return Modality.VISION if name == "fused" else new_modality(name)
