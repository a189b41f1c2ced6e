"""What the demo's observer saw on the topics, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

HEAT_LAG = 300_000_000
"""Nanoseconds that a heat map and the detections that it belongs to may arrive apart."""


@dataclass(frozen=True)
class Heard:
    """One audio embedding: stamp of the window's end (ns), best label, confidence 0 to 1, abstained or not."""

    stamp: int
    label: str
    confidence: float
    abstained: bool


@dataclass(frozen=True)
class Seen:
    """One detection message: the picture's stamp and when the message arrived (ns); boxes best first.

    boxes: float32 (N, 4) pixels of the camera picture, x0, y0, x1, y1; scores: float32 (N,); labels: N names.
    """

    stamp: int
    arrived: int
    boxes: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Heat:
    """One heat map: the picture's stamp and when it arrived (ns); `values` float32 (h, w)."""

    stamp: int
    arrived: int
    values: np.ndarray


@dataclass
class Record:
    """One scene as it came over the topics."""

    started: int | None = None
    """Capture time (ns) of the first frame of sound; None until the first block of sound arrived."""
    sound_frames: int = 0
    lost_sound_frames: int = 0
    pictures: int = 0
    heard: list[Heard] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    heatmaps: list[Heat] = field(default_factory=list)

    def heat_of(self, seen: Seen) -> np.ndarray | None:
        """The heat map nearest in time to a detection message, None if there is none within HEAT_LAG.

        Those of the message's own picture come first: others stand in for one that was lost on the way, which
        best effort allows. A picture has several if the cue changed while it was the newest one.
        """
        near = [heat for heat in self.heatmaps if abs(heat.arrived - seen.arrived) <= HEAT_LAG]
        nearest = min(
            near, key=lambda h: (h.stamp != seen.stamp, abs(h.arrived - seen.arrived)), default=None
        )
        return None if nearest is None else nearest.values

    def position(self, stamp: int) -> float:
        """Seconds on the sound track of a stamp; minus infinity before the sound began."""
        return float("-inf") if self.started is None else (stamp - self.started) / 1e9
