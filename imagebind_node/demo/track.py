"""One sound track a scene: its cues one after the other, with silence between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from imagebind_node.demo.scenes import Cue, Scene
from imagebind_node.files import read_audio
from imagebind_node.preprocessing.audio_signal import resample, to_mono

RATE = 16000
LEAD_IN = 1.0
PAUSE = 4.0
SETTLE = 3.2
"""Seconds after the end of a cue before a box counts as found in silence: the audio window and `cue_timeout`."""


@dataclass(frozen=True)
class Interval:
    """A cue on the track, in seconds from its start."""

    cue: Cue
    start: float
    end: float


@dataclass(frozen=True)
class Track:
    """A scene's sound file and what is to be heard when."""

    path: Path
    intervals: tuple[Interval, ...]
    duration: float

    def at(self, seconds: float) -> Interval | None:
        """The cue that sounds at a time on the track or has ended less than half the settling time ago."""
        return next((i for i in self.intervals if i.start <= seconds < i.end + SETTLE / 2), None)

    def is_silent(self, seconds: float) -> bool:
        """True if nothing has sounded for SETTLE seconds."""
        return all(not i.start - 0.1 <= seconds < i.end + SETTLE for i in self.intervals)


def write_track(scene: Scene, path: Path) -> Track:
    """Lay out the cues of `scene` and write them as 16-bit mono WAV at RATE."""
    parts, intervals = [np.zeros(round(LEAD_IN * RATE), np.float32)], []
    position = LEAD_IN
    for cue in scene.cues:
        sample = read_audio(cue.sound)
        sound = resample(to_mono(sample.data), sample.sample_rate, RATE)
        intervals.append(Interval(cue, position, position + len(sound) / RATE))
        parts += [sound, np.zeros(round(PAUSE * RATE), np.float32)]
        position += len(sound) / RATE + PAUSE
    soundfile.write(path, np.concatenate(parts), RATE, subtype="PCM_16")
    return Track(path, tuple(intervals), position)
