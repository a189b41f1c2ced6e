"""Folders, pictures, videos and sound files as if they came from a camera and a microphone."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.files import read_audio, read_image
from imagebind_node.samples import AudioSample, ImageSample

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """images, audio: a file or a folder each, "" for none; folders play in the order of file names.

    rate: pictures a second, 0 for a video's own (15 for pictures). hold: seconds each still picture is repeated
    for. gap: seconds of silence before each sound. block_ms: milliseconds of sound a block. speed: 2 plays twice
    as fast. loop: start both over at their end, each on its own. Without it the recording ends with the sound,
    and pictures start over until then; pictures without sound play once.
    """

    images: str = ""
    audio: str = ""
    rate: float = 0.0
    hold: float = 0.0
    gap: float = 0.0
    block_ms: float = 20.0
    speed: float = 1.0
    loop: bool = False
    camera_frame_id: str = "camera_optical_frame"
    microphone_frame_id: str = "microphone"


@dataclass(frozen=True)
class Event:
    """Something to publish. time: s from the start at which it is complete; begin: s at which it was captured."""

    time: float
    begin: float
    topic: str
    data: np.ndarray
    sample_rate: int = 0
    sequence: int = 0
    source: str = ""
    final: bool = False


class Replay:
    """A timeline of pictures and sound blocks, the same every time: `events` yields it, `play` keeps the pace."""

    def __init__(self, config: ReplayConfig) -> None:
        """Raises InvalidInputError if there is nothing to play or a file is of no known kind."""
        if not config.images and not config.audio:
            raise InvalidInputError("nothing to replay: set images, audio or both")
        if not 0.01 <= config.speed <= 100 or not 1 <= config.block_ms <= 1000:
            raise InvalidInputError(
                f"replay needs a speed of 0.01 to 100 and blocks of 1 to 1000 ms, got {config.speed} and "
                f"{config.block_ms} ms"
            )
        self.config = config
        self._pictures = _list_files(config.images, (*PICTURES, *VIDEOS), "images")
        self._sounds = _list_files(config.audio, SOUNDS, "audio")
        self.problems: list[str] = []

    def events(self) -> Iterator[Event]:
        """All events in order of `time`; at the same time pictures come first."""
        loop, sounds = self.config.loop, bool(self._sounds)
        streams = []
        if self._pictures:
            streams.append(self._repeat(self._picture_events, loop or sounds))
        if sounds:
            streams.append(self._repeat(self._sound_events, loop))
        merged = heapq.merge(*streams, key=lambda event: (event.time, event.topic != "camera"))
        if loop or not sounds or not self._pictures:
            return merged
        return self._until_sound_ends(merged)

    def _until_sound_ends(self, merged: Iterator[Event]) -> Iterator[Event]:
        for event in merged:
            yield event
            if event.final:
                return

    def play(
        self,
        emit: Callable[[ImageSample | AudioSample, int], None],
        stop: threading.Event,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Call `emit(sample, sequence)` for each event when it is due, until the end or until `stop` is set.

        Samples are stamped start + begin / speed, so that stamps are as regular as the recording.
        """
        start, origin = clock(), time.monotonic()
        for event in self.events():
            if stop.wait(max(0.0, origin + event.time / self.config.speed - time.monotonic())):
                return
            stamp = start + round(event.begin / self.config.speed * 1e9)
            emit(self._sample(event, stamp), event.sequence)

    def _sample(self, event: Event, stamp: int) -> ImageSample | AudioSample:
        if event.topic == "camera":
            return ImageSample(event.data, stamp, self.config.camera_frame_id)
        return AudioSample(event.data, event.sample_rate, stamp, self.config.microphone_frame_id)

    def _repeat(self, once: Callable[[float, int], Iterator[Event]], forever: bool) -> Iterator[Event]:
        offset, sequence = 0.0, 0
        while True:
            last = None
            for event in once(offset, sequence):
                yield event
                last = event
            if last is None:
                raise InvalidInputError("nothing could be read: " + "; ".join(self.problems[-3:]))
            if not forever:
                return
            if last.topic == "camera":
                offset = last.time + 1.0 / self._fps(last.sample_rate)
            else:
                offset, sequence = last.time, last.sequence + len(last.data)

    def _fps(self, own: float = 0.0) -> float:
        return self.config.rate or (own if 0 < own < 1000 else 15.0)

    def _picture_events(self, offset: float, sequence: int) -> Iterator[Event]:
        now = offset
        for path in self._pictures:
            if path.suffix.lower() in VIDEOS:
                frames, own = self._video_frames(path)
                repeat = 1
            else:
                frames, own = self._still(path), 0.0
                repeat = max(1, round(self.config.hold * self._fps()))
            for frame in frames:
                for _ in range(repeat):
                    yield Event(now, now, "camera", frame, round(own), 0, path.name)
                    now += 1.0 / self._fps(own)

    def _still(self, path: Path) -> Iterator[np.ndarray]:
        try:
            yield read_image(path).data
        except InvalidInputError as error:
            self.problems.append(str(error))

    def _video_frames(self, path: Path) -> tuple[Iterator[np.ndarray], float]:
        capture = cv2.VideoCapture(str(path))
        own = capture.get(cv2.CAP_PROP_FPS)

        def frames() -> Iterator[np.ndarray]:
            count = 0
            while True:
                good, picture = capture.read()
                if not good:
                    break
                count += 1
                yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            capture.release()
            if count == 0:
                self.problems.append(f"{path}: no frame could be decoded")

        return frames(), own

    def _sound_events(self, offset: float, sequence: int) -> Iterator[Event]:
        now = offset
        for index, path in enumerate(self._sounds):
            last_file = index == len(self._sounds) - 1
            try:
                sound = read_audio(path)
            except InvalidInputError as error:
                self.problems.append(str(error))
                continue
            rate = sound.sample_rate
            silence = np.zeros((round(self.config.gap * rate), *sound.data.shape[1:]), np.float32)
            data = np.concatenate([silence, sound.data])
            size = max(1, round(rate * self.config.block_ms / 1e3))
            for first in range(0, len(data), size):
                block = data[first : first + size]
                begin, now = now, now + len(block) / rate
                final = last_file and first + size >= len(data)
                yield Event(now, begin, "audio", block, rate, sequence, path.name, final)
                sequence += len(block)


def _list_files(where: str, suffixes: tuple[str, ...], what: str) -> list[Path]:
    if not where:
        return []
    path = Path(where).expanduser()
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
        if not files:
            raise InvalidInputError(f"folder {where!r} holds no {what} ({', '.join(suffixes)})")
        return files
    if not path.is_file():
        raise InvalidInputError(f"{what} {where!r} does not exist")
    if path.suffix.lower() not in suffixes:
        raise InvalidInputError(f"{where!r} is not one of the known kinds of {what}: {', '.join(suffixes)}")
    return [path]
