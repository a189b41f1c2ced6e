"""One recording, a bag or a folder, as two streams: pictures and what another sensor measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imagebind_node.binding.measurements import measurement, scalars
from imagebind_node.binding.signals import SIGNALS, windows_around
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality, parse_modality
from imagebind_node.sensors.bag import Recorded, Recording

Found = tuple[int, "np.ndarray | None", dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Streams:
    """What to read from a recording.

    image, sense: topics of a bag, subfolders of a folder. read: what of the sense's messages, see
    `measurement`. window: seconds of sound or motion around a picture. received: go by the time of recording
    instead of the stamps in the headers. definitions: of message types that ROS 2 does not bring.
    modality: how files of the sense are read (folders only); without, they are .npy arrays.
    """

    image: str
    sense: str
    read: str | None = None
    window: float = 2.0
    received: bool = False
    definitions: Mapping[str, str] = field(default_factory=dict)
    modality: str | None = None


class Source(Protocol):
    """A recording. `kind`: what the sense is; `problems`: unusable messages or files, by topic;
    `reasons`: why the first of them was."""

    kind: str
    signal: bool
    problems: Counter[str]
    reasons: dict[str, str]

    def stamps(self, stream: str) -> np.ndarray:
        """int64 (N,) ns, ascending, no stamp twice."""

    def pictures(self, stamps: np.ndarray) -> Iterator[Found]:
        """(stamp, uint8 (H, W, 3) RGB or None if damaged, {}) of these, in some order."""

    def senses(self, stamps: np.ndarray) -> Iterator[Found]:
        """(stamp, array or None if damaged, facts) of these; of a signal, the stretches around them."""


def open_recording(path: Path, streams: Streams) -> Source:
    """A folder that holds both subfolders is a folder; all else is a bag. Raises InvalidInputError."""
    there = [name for name in (streams.image, streams.sense) if (path / name).is_dir()]
    if len(there) == 2:
        return FolderRecording(path, streams)
    if there:
        (missing,) = {streams.image, streams.sense} - set(there) or {streams.sense}
        found = ", ".join(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
        raise InvalidInputError(f"{path} has no subfolder {missing!r}: it has {found}")
    return BagRecording(path, streams)


class BagRecording:
    """rosbag2 (MCAP, SQLite) or ROS 1, read once for the stamps and once more for the content."""

    def __init__(self, path: Path, streams: Streams) -> None:
        self._path, self._streams = path, streams
        self.problems: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        kinds: dict[str, str] = {}
        found: dict[str, list[int]] = {streams.image: [], streams.sense: []}
        recording = Recording(path, sorted(found), streams.definitions)
        for recorded in recording.messages():
            kinds[recorded.topic] = recorded.kind
            found[recorded.topic].append(self._time(recorded))
        self.problems += recording.problems
        self.kind = kinds.get(streams.sense, "")
        self.signal = self.kind in SIGNALS
        self._stamps = {topic: np.unique(np.array(stamps, np.int64)) for topic, stamps in found.items()}
        for topic, stamps in self._stamps.items():
            if len(stamps) == 0:
                raise InvalidInputError(f"bag {path}: {topic} has no readable message")
            if stamps[0] == 0:
                raise InvalidInputError(f"bag {path}: {topic} has messages without a stamp: use --received")

    def stamps(self, stream: str) -> np.ndarray:
        return self._stamps[stream]

    def pictures(self, stamps: np.ndarray) -> Iterator[Found]:
        for stamp, array, facts in self._chosen(self._streams.image, stamps, None):
            if array is not None and (array.ndim != 3 or array.dtype != np.uint8):
                raise InvalidInputError(f"{self._streams.image} is no colour or grey picture: {array.dtype}")
            yield stamp, array, facts

    def senses(self, stamps: np.ndarray) -> Iterator[Found]:
        if self.signal:
            messages = Recording(self._path, [self._streams.sense]).messages()
            yield from windows_around(messages, np.sort(stamps), self._streams.window)
        else:
            yield from self._chosen(self._streams.sense, stamps, self._streams.read)

    def _chosen(self, topic: str, stamps: np.ndarray, read: str | None) -> Iterator[Found]:
        wanted = {int(stamp) for stamp in stamps}
        for recorded in Recording(self._path, [topic], self._streams.definitions).messages():
            stamp = self._time(recorded)
            if stamp not in wanted:
                continue
            wanted.remove(stamp)
            try:
                yield stamp, measurement(recorded, read), scalars(recorded.message)
            except InvalidInputError as error:
                self.problems[topic] += 1
                self.reasons.setdefault(topic, str(error))
                yield stamp, None, {}

    def _time(self, recorded: Recorded) -> int:
        return recorded.time if self._streams.received else recorded.stamp


class FolderRecording:
    """Two subfolders of files named by their time: seconds (`1305031102.175304.png`) or integer nanoseconds."""

    signal = False

    def __init__(self, path: Path, streams: Streams) -> None:
        self._streams = streams
        self._modality = None if streams.modality is None else parse_modality(streams.modality)
        self.kind = streams.modality or "array"
        self.problems: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        self._files = {name: _by_time(path / name) for name in (streams.image, streams.sense)}

    def stamps(self, stream: str) -> np.ndarray:
        return np.array(sorted(self._files[stream]), np.int64)

    def pictures(self, stamps: np.ndarray) -> Iterator[Found]:
        from imagebind_node.files import read_image

        for stamp in stamps:
            try:
                yield int(stamp), read_image(self._files[self._streams.image][int(stamp)]).data, {}
            except InvalidInputError as error:
                self.problems[self._streams.image] += 1
                self.reasons.setdefault(self._streams.image, str(error))
                yield int(stamp), None, {}

    def senses(self, stamps: np.ndarray) -> Iterator[Found]:
        for stamp in stamps:
            try:
                yield int(stamp), *self._sense(self._files[self._streams.sense][int(stamp)])
            except InvalidInputError as error:
                self.problems[self._streams.sense] += 1
                self.reasons.setdefault(self._streams.sense, str(error))
                yield int(stamp), None, {}

    def _sense(self, path: Path) -> tuple[np.ndarray, dict[str, Any]]:
        from imagebind_node.files import read_sample
        from imagebind_node.formats.arrays import read_arrays

        if self._modality is None:
            arrays = read_arrays(path, "sense")
            return next(iter(arrays.values())), {}
        sample: Any = read_sample(path, self._modality)
        if self._modality is Modality.IMU:
            return np.column_stack([sample.times, sample.data]), {}
        return sample.data, {"sample_rate": sample.sample_rate} if self._modality is Modality.AUDIO else {}


def _by_time(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            seconds, dot, rest = path.stem.partition(".")
            nanoseconds = (rest + "0" * 9)[:9] if dot else ""
            stamp = int(seconds + nanoseconds) if dot else int(seconds)
        except ValueError:
            raise InvalidInputError(
                f"{path}: name files by their time, in seconds with a point or in integer nanoseconds"
            ) from None
        files[stamp] = path
    if not files:
        raise InvalidInputError(f"{folder} is empty")
    return files
