"""rosbag2 (and rosbag1) recordings, read without ROS by the library `rosbags`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError, MissingDependencyError
from imagebind_node.retrieval.bag_pictures import IMAGE, IMAGES, picture
from imagebind_node.retrieval.pieces import Piece, Window, imu_windows, sound_windows
from imagebind_node.samples import AudioSample, ImuSample, Modality

AUDIO, IMU = "imagebind_msgs/msg/Audio", "sensor_msgs/msg/Imu"
# For bags that do not carry their message definitions (SQLite bags of older distributions).
_AUDIO_DEFINITION = """
std_msgs/Header header
uint32 sample_rate
uint16 channels
uint64 sequence
float32[] data
"""
# Sound is cut into windows in blocks of this many seconds, so that an hour's bag does not fill the memory.
_BLOCK_SECONDS = 30.0


def read_bag(path: str, window: Window, every: float) -> Iterator[Piece]:
    """Pieces of every picture, sound and IMU topic of a bag; others are left out.

    Pictures at most every `every` seconds a topic. Raises MissingDependencyError without `rosbags`,
    InvalidInputError for a damaged bag or one without such topics.
    """
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise MissingDependencyError(
            "bags need: pip install 'imagebind_node[bags]' (package rosbags)"
        ) from error
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(_AUDIO_DEFINITION, AUDIO))
    try:
        with AnyReader([Path(path)], default_typestore=store) as reader:
            yield from _read_topics(reader, path, window, every)
    except (AnyReaderError, OSError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = " ".join(str(error).split())
        raise InvalidInputError(f"bag {path} is damaged or incomplete: {reason}") from error


def _read_topics(reader: Any, path: str, window: Window, every: float) -> Iterator[Piece]:
    wanted = [c for c in reader.connections if c.msgtype in (*IMAGES, AUDIO, IMU)]
    if not wanted:
        raise InvalidInputError(f"bag {path} has no picture, sound or IMU topic")
    sounds: dict[str, _Sound] = {}
    motions: dict[str, list[Any]] = {}
    due: dict[str, int] = {}
    for connection, received, raw in reader.messages(connections=wanted):
        topic, name = connection.topic, f"{path}#topic={connection.topic}"
        if connection.msgtype in IMAGES:
            if received < due.get(topic, 0):
                continue
            due[topic] = received + int(every * 0.999e9)
            message = reader.deserialize(raw, connection.msgtype)
            sample = picture(message, topic, compressed=connection.msgtype != IMAGE)
            yield Piece(sample, name)
            continue
        message = reader.deserialize(raw, connection.msgtype)
        if connection.msgtype == AUDIO:
            yield from sounds.setdefault(topic, _Sound(name, window(Modality.AUDIO))).push(message)
        else:
            motions.setdefault(topic, []).append(message)
    for sound in sounds.values():
        yield from sound.rest()
    for topic, messages in motions.items():
        if len(messages) >= 2:
            yield from imu_windows(
                _imu(messages), window(Modality.IMU), f"{path}#topic={topic}", separator="&"
            )


class _Sound:
    """Joins the blocks of one topic; a lost block (gap in `sequence`) ends a stretch."""

    def __init__(self, name: str, window: float) -> None:
        self._name, self._window = name, window
        self._blocks: list[np.ndarray] = []
        self._first: Any = None
        self._next = 0
        self._seconds = 0.0

    def push(self, message: Any) -> Iterator[Piece]:
        data = np.asarray(message.data, np.float32)
        if message.channels > 1:
            data = data.reshape(-1, message.channels).mean(1)
        gap = self._first is not None and message.sequence != self._next
        block = (
            max(_BLOCK_SECONDS // max(self._window, 1e-3), 1) * self._window
            if self._window
            else _BLOCK_SECONDS
        )
        if gap or self._seconds >= block - 1e-6:
            yield from self.rest()
        if self._first is None:
            self._first = message
        self._blocks.append(data)
        self._next = message.sequence + len(data)
        self._seconds += len(data) / message.sample_rate

    def rest(self) -> Iterator[Piece]:
        if self._first is None:
            return
        header = self._first.header
        sample = AudioSample(
            np.concatenate(self._blocks), int(self._first.sample_rate), _stamp(header), header.frame_id
        )
        self._blocks, self._first, self._seconds = [], None, 0.0
        yield from sound_windows(sample, self._window, self._name, separator="&")


def _imu(messages: list[Any]) -> ImuSample:
    stamps = np.array([_stamp(m.header) for m in messages], np.int64)
    rows = [
        (m.linear_acceleration.x, m.linear_acceleration.y, m.linear_acceleration.z)
        + (m.angular_velocity.x, m.angular_velocity.y, m.angular_velocity.z)
        for m in messages
    ]
    return ImuSample(
        np.array(rows, np.float32),
        (stamps - stamps[0]) / 1e9,
        int(stamps[-1]),
        messages[-1].header.frame_id,
    )


def _stamp(header: Any) -> int:
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)
