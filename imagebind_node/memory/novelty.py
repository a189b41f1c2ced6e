"""Remember what is new: a robot that stands still sees the same thing thirty times a second."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError


@dataclass
class _Recent:
    vectors: deque[np.ndarray]
    stamps: deque[int] = field(default_factory=deque)


class NoveltyGate:
    """Lets an embedding pass unless a recent one of the same sensor is nearly the same.

    threshold: cosine from which two embeddings are one memory (1 and above keeps everything); horizon:
    seconds after which the same thing is worth remembering again; remembered: how many kept embeddings a
    sensor is compared with.
    """

    def __init__(self, threshold: float = 0.97, horizon: float = 60.0, remembered: int = 32) -> None:
        if not 0 < threshold <= 1.001 or horizon <= 0 or remembered < 1:
            raise InvalidInputError(
                f"novelty needs a threshold in (0, 1], a horizon > 0 s and 1 or more remembered embeddings, got "
                f"{threshold}, {horizon}, {remembered}"
            )
        self.threshold, self.horizon, self._remembered = threshold, horizon, remembered
        self._recent: dict[tuple[str, str, str], _Recent] = {}

    def is_new(self, embedding: Embedding) -> bool:
        """True if it should be kept; it then counts as kept. Time running backwards (a replay) starts afresh."""
        key = (embedding.space.id, embedding.modality.value, embedding.frame_id)
        recent = self._recent.get(key)
        if recent is None or (recent.stamps and embedding.stamp < recent.stamps[-1]):
            recent = self._recent[key] = _Recent(deque(maxlen=self._remembered))
            recent.stamps = deque(maxlen=self._remembered)
        while recent.stamps and embedding.stamp - recent.stamps[0] > self.horizon * 1e9:
            recent.stamps.popleft()
            recent.vectors.popleft()
        if recent.vectors and float((np.stack(recent.vectors) @ embedding.vector).max()) >= self.threshold:
            return False
        recent.vectors.append(embedding.vector)
        recent.stamps.append(embedding.stamp)
        return True
