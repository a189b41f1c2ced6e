"""Has the scene changed? A fused embedding against the running mean of the ones before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagebind_node.fusion import Fused

# The detector is armed again once the distance has fallen below this share of the threshold.
_RELEASE = 0.7


@dataclass(frozen=True)
class Change:
    """distance: 1 - cosine to what the scene was, 0 to 2; by_modality: the same for each sense, largest first."""

    fused: Fused
    distance: float
    threshold: float
    by_modality: tuple[tuple[str, float], ...]


class _Mean:
    """Running mean of unit vectors that forgets with a time constant."""

    def __init__(self, vector: np.ndarray, stamp: int) -> None:
        self._sum, self._stamp = vector.astype(np.float64), stamp

    def distance(self, vector: np.ndarray) -> float:
        length = float(np.linalg.norm(self._sum))
        return 1.0 - float(self._sum @ vector) / length if length > 1e-9 else 1.0

    def add(self, vector: np.ndarray, stamp: int, memory: float) -> None:
        share = 1.0 - np.exp(-max(0.0, (stamp - self._stamp) / 1e9) / memory)
        self._sum += share * (vector - self._sum)
        self._stamp = stamp


class ChangeDetector:
    """Reports when a fused embedding lies more than `threshold` away from the running mean.

    memory: seconds after which the mean has forgotten two thirds. refractory: seconds after a change without
    another. After a change the mean starts anew from the scene as it is, and the detector is armed again when the
    distance has fallen well below the threshold (hysteresis): a scene that swings around it is reported once.
    """

    def __init__(self, threshold: float = 0.3, memory: float = 3.0, refractory: float = 2.0) -> None:
        self.threshold, self.memory, self.refractory = threshold, memory, refractory
        self._scene: _Mean | None = None
        self._parts: dict[str, _Mean] = {}
        self._armed = True
        self._changed: int | None = None
        self._last = 0

    def update(self, fused: Fused) -> Change | None:
        """Take the next fused embedding in; one that abstained says nothing about the scene."""
        vector, stamp = fused.embedding.vector, fused.embedding.stamp
        if vector.size == 0:
            return None
        if self._scene is None or stamp < self._last:
            self._begin(fused)
            return None
        self._last = stamp
        distance = self._scene.distance(vector)
        self._armed = self._armed or distance < _RELEASE * self.threshold
        resting = self._changed is not None and stamp - self._changed < self.refractory * 1e9
        if self._armed and not resting and distance > self.threshold:
            by_modality = self._by_modality(fused)
            self._begin(fused)
            self._armed, self._changed = False, stamp
            return Change(fused, distance, self.threshold, by_modality)
        self._scene.add(vector, stamp, self.memory)
        for modality, part in fused.inputs.items():
            mean = self._parts.setdefault(str(modality), _Mean(part.vector, part.stamp))
            mean.add(part.vector, part.stamp, self.memory)
        return None

    def _begin(self, fused: Fused) -> None:
        self._last = fused.embedding.stamp
        self._scene = _Mean(fused.embedding.vector, self._last)
        self._parts = {str(m): _Mean(part.vector, part.stamp) for m, part in fused.inputs.items()}
        self._armed, self._changed = True, None

    def _by_modality(self, fused: Fused) -> tuple[tuple[str, float], ...]:
        moved = [
            (str(m), self._parts[str(m)].distance(part.vector))
            for m, part in fused.inputs.items()
            if str(m) in self._parts
        ]
        return tuple(sorted(moved, key=lambda item: -item[1]))
