"""Recordings of ROS 2 (rosbag2: MCAP or SQLite) and ROS 1, read without ROS; their content is not trusted."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError, MissingDependencyError
from imagebind_node.samples import AudioSample, DepthSample, ImageSample, ImuSample, Modality, ThermalSample
from imagebind_node.sensors.bag_bombs import bound_chunks
from imagebind_node.sensors.bag_pictures import IMAGE, IMAGES, picture

AUDIO, IMU, CAMERA_INFO = "imagebind_msgs/msg/Audio", "sensor_msgs/msg/Imu", "sensor_msgs/msg/CameraInfo"
KINDS = (*IMAGES, AUDIO, IMU, CAMERA_INFO)
TRANSFORMS = "tf2_msgs/msg/TFMessage"
# For bags that do not carry their message definitions (SQLite bags of older distributions).
AUDIO_DEFINITION = """
std_msgs/Header header
uint32 sample_rate
uint16 channels
uint64 sequence
float32[] data
"""
# What a damaged message makes the decoder raise; memory errors are those of absurd lengths.
_DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    struct.error,
    UnicodeError,
)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@dataclass(frozen=True)
class Recorded:
    """One message. time: ns at which it was recorded; stamp: ns of its header (time if it has
    none); raw: CDR, of a ROS 1 bag converted."""

    time: int
    topic: str
    kind: str
    stamp: int
    raw: bytes
    message: Any


class Recording:
    """The messages of a bag that this package can use, in the order of recording.

    `problems` counts damaged messages a topic, which are skipped; `ignored` are the topics of other types.
    """

    def __init__(
        self, path: str | Path, topics: Sequence[str] = (), definitions: Mapping[str, str] | None = None
    ) -> None:
        """path: a bag folder, an .mcap or a .bag.

        topics: read exactly these, of whatever type ROS 2 Jazzy knows; without, all of the types in KINDS.
        definitions: of further message types, name (`pkg/msg/Type`) to the text of its .msg file.
        Raises MissingDependencyError without `rosbags`, InvalidInputError for a definition that cannot be read.
        """
        try:
            from rosbags.serde import SerdeError
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError as error:
            raise MissingDependencyError(
                "bags need: pip install 'imagebind_node[bags]' (package rosbags)"
            ) from error
        bound_chunks()
        self.path, self._topics = Path(path).expanduser(), frozenset(topics)
        if not self.path.exists():
            raise InvalidInputError(f"bag {str(path)!r} does not exist")
        # Our own definitions decode, not those in the bag: what passes is what ROS calls by that name.
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._store.register(get_types_from_msg(AUDIO_DEFINITION, AUDIO))
        for name, text in (definitions or {}).items():
            try:
                self._store.register(get_types_from_msg(text, name))
            except Exception as error:
                raise InvalidInputError(f"definition of {name} cannot be read: {_reason(error)}") from error
        self._damage = (*_DAMAGE, SerdeError)
        self.problems: Counter[str] = Counter()
        self.ignored: list[str] = []

    def topics(self) -> dict[str, str]:
        """Topic -> message type of what `messages` yields; reads the index only. Raises as `messages` does."""
        with self._opened() as reader:
            return {connection.topic: connection.msgtype for connection in self._wanted(reader.connections)}

    def messages(self) -> Iterator[Recorded]:
        """Raises InvalidInputError for a bag that is damaged, incomplete or has no topic for us."""
        return self._read(self._wanted)

    def of_kind(self, kind: str) -> Iterator[Recorded]:
        """All messages of one type, such as TRANSFORMS; none if no topic has it. Raises as `messages`."""
        return self._read(lambda connections: [c for c in connections if c.msgtype == kind])

    def _read(self, choose: Callable[[list[Any]], list[Any]]) -> Iterator[Recorded]:
        with self._opened() as reader:
            wanted = choose(reader.connections)
            # Without connections the reader would give every message.
            for connection, time, raw in reader.messages(connections=wanted) if wanted else ():
                found = self._decode(connection, time, raw, reader.is2)
                if found is not None:
                    yield found

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The reader of the bag; what goes wrong inside is said in one line."""
        from rosbags.highlevel import AnyReader

        try:
            with AnyReader([self.path], default_typestore=self._store) as reader:
                yield reader
        except InvalidInputError:
            raise
        except Exception as error:
            raise InvalidInputError(
                f"bag {self.path} is damaged or incomplete ({_reason(error)}): `mcap recover` or `ros2 bag reindex` "
                "may save it"
            ) from error

    def _wanted(self, connections: list[Any]) -> list[Any]:
        wanted = [c for c in connections if (c.topic in self._topics if self._topics else c.msgtype in KINDS)]
        self.ignored = sorted({c.topic for c in connections} - {c.topic for c in wanted})
        if not self._topics:
            if not wanted:
                raise InvalidInputError(f"bag {self.path} has no picture, sound or IMU topic")
            return wanted
        missing = self._topics - {c.topic for c in wanted}
        if missing:
            there = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in connections})) or "none"
            raise InvalidInputError(
                f"bag {self.path} has no topic {', '.join(sorted(missing))}; it has: {there}"
            )
        for connection in wanted:
            if connection.msgtype not in self._store.types:
                raise InvalidInputError(
                    f"{connection.topic}: type {connection.msgtype} is not known here: give its definition"
                )
        return wanted

    def _decode(self, connection: Any, time: int, raw: bytes, is_cdr: bool) -> Recorded | None:
        kind = connection.msgtype
        try:
            data = bytes(raw if is_cdr else self._store.ros1_to_cdr(raw, kind))
            message: Any = self._store.deserialize_cdr(data, kind)
            header = getattr(message, "header", None)
            stamp = (
                time if header is None else int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)
            )
        except self._damage:
            self.problems[connection.topic] += 1
            return None
        return Recorded(time, connection.topic, kind, stamp, data, message)


Picture = ImageSample | DepthSample | ThermalSample


def sample_of(recorded: Recorded) -> tuple[Modality, Picture | AudioSample | ImuSample | None, Any]:
    """(modality, sample, extra) of a message: extra is the sequence of sound, or the row of an IMU message.

    Raises InvalidInputError if the message does not hold what its type promises, or is of no modality.
    """
    message = recorded.message
    if recorded.kind in IMAGES:
        made = picture(message, recorded.topic, compressed=recorded.kind != IMAGE)
        return made.modality, made, None
    if recorded.kind == AUDIO:
        if not 1 <= message.channels <= 64 or len(message.data) % message.channels:
            raise InvalidInputError(
                f"{recorded.topic}: {len(message.data)} values in {message.channels} channels"
            )
        data = np.asarray(message.data, np.float32)
        data = data if message.channels == 1 else data.reshape(-1, message.channels)
        sound = AudioSample(data, int(message.sample_rate), recorded.stamp, message.header.frame_id)
        return Modality.AUDIO, sound, int(message.sequence)
    if recorded.kind != IMU:
        raise InvalidInputError(f"{recorded.topic}: {recorded.kind} is not a sample")
    acceleration, turn = message.linear_acceleration, message.angular_velocity
    row = (acceleration.x, acceleration.y, acceleration.z, turn.x, turn.y, turn.z)
    if not np.isfinite(row).all() or -1 in (
        message.linear_acceleration_covariance[0],
        message.angular_velocity_covariance[0],
    ):
        raise InvalidInputError(f"{recorded.topic}: acceleration or turn rate is not measured")
    return Modality.IMU, None, row


def restamped(raw: bytes, stamp: int) -> bytes:
    """The CDR of a message that begins with a header, with another stamp (ns)."""
    order = "<" if raw[1] & 1 else ">"
    seconds, rest = divmod(stamp, 1_000_000_000)
    return raw[:4] + struct.pack(f"{order}iI", seconds, rest) + raw[12:]
