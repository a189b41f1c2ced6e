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
    """One thing to look for.

    strength: 1 while it sounds, halves every half-life after `heard` (nanoseconds). surest: confidence of the
    hearing that it has its label from.
    """

    label: str
    embedding: Embedding
    heard: int
    surest: float
    strength: float = 1.0


class CueBoard:
    """Cues by label, each a class of its own; call it from any thread.

    half_life: seconds after the last hearing until a cue counts half; timeout: seconds after which it is
    forgotten; capacity: when full, the cue that was not heard for longest makes room; same: cosine from which
    a cue of another name is the same sound: it keeps its name, so that tracks of its things go on, until it is
    heard more surely under the other one.
    """

    def __init__(
        self, half_life: float = 1.0, timeout: float = 2.0, capacity: int = 4, same: float = 0.8
    ) -> None:
        if not half_life > 0 or not timeout > 0 or capacity < 1 or not -1 <= same <= 1:
            raise InvalidInputError(
                "cues need half_life > 0 and timeout > 0 (seconds), capacity >= 1 and same in -1..1, "
                f"got {half_life}, {timeout}, {capacity} and {same}"
            )
        self.half_life = half_life
        self.timeout = timeout
        self.capacity = capacity
        self.same = same
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
            known = self._cues.get(label) or self._nearest(embedding)
            if known is not None:
                if 0 < known.heard - heard <= self.timeout * 1e9:
                    return False
                if embedding.confidence <= known.surest:
                    label = known.label
                del self._cues[known.label]
            surest = max(embedding.confidence, known.surest if known is not None else 0.0)
            self._cues[label] = Cue(label, embedding, heard, surest)
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
            # What lies further ahead than that was heard before the clock was set back.
            alive = [cue for cue in faded if abs(now - cue.heard) <= self.timeout * 1e9]
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

    def _nearest(self, embedding: Embedding) -> Cue | None:
        """The cue that is the same sound, if one is."""
        close = [(cue.embedding @ embedding, cue) for cue in self._cues.values()]
        similarity, cue = max(close, key=lambda pair: pair[0], default=(-1.0, None))
        return cue if similarity >= self.same else None

    def _strength(self, cue: Cue, now: int) -> float:
        return float(0.5 ** (max(0, now - cue.heard) / 1e9 / self.half_life))
