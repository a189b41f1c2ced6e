"""rosbag2 (and rosbag1) recordings, read without ROS by the library `rosbags`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from imagebind_node.retrieval.pieces import Piece, Window, imu_windows, sound_windows
from imagebind_node.samples import AudioSample, ImuSample, Modality
from imagebind_node.sensors.bag import AUDIO, IMU, Recording
from imagebind_node.sensors.bag_pictures import IMAGE, IMAGES, picture

# Sound is cut into windows in blocks of this many seconds, so that an hour's bag does not fill the memory.
_BLOCK_SECONDS = 30.0


def read_bag(path: str, window: Window, every: float) -> Iterator[Piece]:
    """Pieces of every picture, sound and IMU topic of a bag; others are left out.

    Pictures at most every `every` seconds a topic; messages that are damaged are left out, too. Raises
    MissingDependencyError without `rosbags`, InvalidInputError for a damaged bag or one without such topics.
    """
    sounds: dict[str, _Sound] = {}
    motions: dict[str, list[Any]] = {}
    due: dict[str, int] = {}
    for recorded in Recording(path).messages():
        topic, name = recorded.topic, f"{path}#topic={recorded.topic}"
        if recorded.kind in IMAGES:
            if recorded.time < due.get(topic, 0):
                continue
            due[topic] = recorded.time + int(every * 0.999e9)
            yield Piece(picture(recorded.message, topic, compressed=recorded.kind != IMAGE), name)
        elif recorded.kind == AUDIO:
            sound = sounds.setdefault(topic, _Sound(name, window(Modality.AUDIO)))
            yield from sound.push(recorded.message)
        elif recorded.kind == IMU:
            motions.setdefault(topic, []).append(recorded.message)
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
