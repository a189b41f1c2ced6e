"""What is being listened for: cues fade after their sound ends, several may be alive at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np

from imagebind_node.detection.detections import Detections
from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError


@dataclass(frozen=True)
class Cue:
    """One thing to look for. strength: 1 while it sounds, halves every half-life after `heard` (nanoseconds)."""

    label: str
    embedding: Embedding
    heard: int
    strength: float = 1.0


class CueBoard:
    """Cues by label, each a class of its own; call it from any thread.

    half_life: seconds after the last hearing until a cue counts half; floor: strength below which it is
    forgotten, so that a cue lives half_life * log2(1 / floor) seconds; capacity: when full, the weakest cue
    makes room.
    """

    def __init__(self, half_life: float = 2.0, floor: float = 0.25, capacity: int = 8) -> None:
        if not half_life > 0 or not 0 < floor < 1 or capacity < 1:
            raise InvalidInputError(
                f"cue decay needs half_life > 0, 0 < floor < 1 and capacity >= 1, "
                f"got {half_life}, {floor} and {capacity}"
            )
        self.half_life = half_life
        self.floor = floor
        self.capacity = capacity
        self._cues: dict[str, Cue] = {}
        self._lock = threading.Lock()

    def hear(self, label: str, embedding: Embedding, stamp: int | None = None) -> bool:
        """Take a cue at `stamp` (nanoseconds, default: the embedding's); False if it abstained or is older.

        A label that is known gets the new embedding and full strength again.
        """
        if embedding.abstained:
            return False
        heard = embedding.stamp if stamp is None else stamp
        with self._lock:
            known = self._cues.get(label)
            if known is not None and heard < known.heard:
                return False
            self._cues[label] = Cue(label, embedding, heard)
            while len(self._cues) > self.capacity:
                del self._cues[min(self._cues, key=lambda name: self._cues[name].heard)]
            return True

    def forget(self, label: str | None = None) -> None:
        """Drop one cue, or all of them."""
        with self._lock:
            if label is None:
                self._cues.clear()
            else:
                self._cues.pop(label, None)

    def cues(self, now: int) -> tuple[Cue, ...]:
        """The cues that are alive at `now` (nanoseconds), strongest first; the others are forgotten.

        A cue heard after `now` (a frame that was captured earlier) has full strength.
        """
        with self._lock:
            faded = [replace(cue, strength=self._strength(cue, now)) for cue in self._cues.values()]
            alive = [cue for cue in faded if cue.strength >= self.floor]
            self._cues = {cue.label: self._cues[cue.label] for cue in alive}
            return tuple(sorted(alive, key=lambda cue: (-cue.strength, cue.label)))

    def fade(self, found: Detections, now: int) -> Detections:
        """Detections with scores times the strength of their cue, best first again; without a cue they go."""
        strength = {cue.label: cue.strength for cue in self.cues(now)}
        scores = np.array(
            [score * strength.get(label, 0.0) for score, label in zip(found.scores, found.labels)], np.float32
        )
        order = [i for i in np.argsort(-scores, kind="stable") if found.labels[i] in strength]
        return Detections(
            boxes=found.boxes[order],
            scores=scores[order],
            labels=tuple(found.labels[i] for i in order),
            similarities=found.similarities[order],
        )

    def _strength(self, cue: Cue, now: int) -> float:
        return float(0.5 ** (max(0, now - cue.heard) / 1e9 / self.half_life))
