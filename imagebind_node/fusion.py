"""One embedding of everything that the senses say at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from imagebind_node.embedding import Embedding, Space, combine
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

# A stamp further back than this is no late embedding but a clock that was set back, or a recording that began anew.
_RESTART_SECONDS = 1.0
# And one further ahead than this is a clock that was set forward.
_JUMP_SECONDS = 60.0
# Sources that count for less than this share are left out.
_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Fused:
    """embedding: the normalised sum, or one that abstained without a vector; its stamp is the newest input's.

    sources, weights: what went in and with which share (sum 1), heaviest first. inputs: the embeddings themselves.
    """

    embedding: Embedding
    sources: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    inputs: Mapping[Modality, Embedding] = field(default_factory=dict)


class Fusion:
    """Keeps the newest embedding of each modality and adds them up, weighted by modality, confidence and age.

    A set opens with an embedding and closes as soon as every modality that is alive (heard of within `max_age`) has
    given one, or `slop` seconds after the set was opened: as in ApproximateTime of message_filters, but a modality
    that is missing only delays by `slop` and is then represented by its last embedding, which loses half of its
    weight every `half_life` seconds beyond `slop`, until `max_age`. Time is that of the stamps throughout.
    """

    def __init__(
        self,
        weights: Mapping[Modality, float],
        *,
        slop: float = 0.1,
        half_life: float = 1.0,
        max_age: float = 5.0,
        space: Space | None = None,
    ) -> None:
        """weights: one a modality, at least 0; others are refused. space: of the first embedding if None."""
        bad = [str(m) for m, weight in weights.items() if not (np.isfinite(weight) and weight >= 0)]
        if bad or not any(weights.values()):
            raise InvalidInputError("fusion weights must be finite and at least 0, and one of them above 0")
        self.weights = dict(weights)
        self.slop, self.half_life, self.max_age = slop, half_life, max_age
        self.space = space
        self.late = self.restarts = 0
        self._newest: dict[Modality, Embedding] = {}
        self._opened: int | None = None
        self._waiting: set[Modality] = set()

    def put(self, embedding: Embedding) -> list[Fused]:
        """Take an embedding in; returns the sets that it closed: none, one or two.

        Raises SpaceMismatchError for another space, InvalidInputError for a modality without a weight.
        """
        if self.space is None:
            self.space = embedding.space
        self.space.require_same(embedding.space)
        modality = embedding.modality
        if modality not in self.weights:
            raise InvalidInputError(f"no weight for {modality}: name it in the parameter `fused`")
        closed = []
        newest = max((e.stamp for e in self._newest.values()), default=embedding.stamp)
        ahead = (embedding.stamp - newest) / 1e9
        last = self._newest.get(modality)
        if ahead > _JUMP_SECONDS or (
            last is not None and last.stamp - embedding.stamp > _RESTART_SECONDS * 1e9
        ):
            self.restarts += 1
            self.reset()
        elif last is not None and embedding.stamp <= last.stamp:
            self.late += 1
            return []
        if self._opened is not None and embedding.stamp - self._opened > self.slop * 1e9:
            closed.append(self.close())
        self._newest[modality] = embedding
        if self._opened is None:
            self._opened = embedding.stamp
            self._waiting = self._alive(embedding.stamp)
        self._waiting.discard(modality)
        if not self._waiting:
            closed.append(self.close())
        return closed

    def flush(self, now: int) -> list[Fused]:
        """Close the set that has been open for longer than `slop` at time `now` (ns of the stamps' clock)."""
        if self._opened is None or 0 <= now - self._opened <= self.slop * 1e9:
            return []
        return [self.close()]

    def close(self) -> Fused:
        """The sum of what is known, whatever is missing."""
        self._opened, self._waiting = None, set()
        assert self.space is not None and self._newest
        reference = max(embedding.stamp for embedding in self._newest.values())
        self._newest = {m: e for m, e in self._newest.items() if self._age(e, reference) <= self.max_age}
        newest = max(self._newest.values(), key=lambda embedding: embedding.stamp)
        shares = {m: self._share(e, reference) for m, e in self._newest.items()}
        total = sum(shares.values())
        used = sorted((m for m in shares if shares[m] > _LEAST_SHARE * total), key=lambda m: -shares[m])
        nothing = replace(
            newest, vector=np.zeros(0, np.float32), window=0.0, confidence=0.0, abstained=True, labels=()
        )
        if not used:
            return Fused(nothing)
        parts = [self._newest[m] for m in used]
        weights = np.array([shares[m] for m in used])
        weights /= weights.sum()
        try:
            summed = combine(parts, weights.tolist())
        except InvalidInputError:
            # Two senses that say the very opposite leave no direction.
            return Fused(nothing)
        fused = replace(
            summed,
            stamp=max(part.stamp for part in parts),
            frame_id=newest.frame_id if len(used) == 1 else "",
            confidence=float(weights @ [part.confidence for part in parts]),
            labels=_labels(parts, weights),
        )
        return Fused(fused, tuple(map(str, used)), tuple(map(float, weights)), dict(zip(used, parts)))

    def reset(self) -> None:
        """Forget every embedding, but not the space."""
        self._newest, self._opened, self._waiting = {}, None, set()

    def _alive(self, now: int) -> set[Modality]:
        return {m for m, e in self._newest.items() if self._age(e, now) <= min(self.max_age, 10 * self.slop)}

    @staticmethod
    def _age(embedding: Embedding, now: int) -> float:
        return max(0.0, (now - embedding.stamp) / 1e9)

    def _share(self, embedding: Embedding, now: int) -> float:
        if embedding.abstained or embedding.vector.size == 0:
            return 0.0
        beyond = max(0.0, self._age(embedding, now) - self.slop)
        return self.weights[embedding.modality] * embedding.confidence * 0.5 ** (beyond / self.half_life)


def _labels(parts: list[Embedding], weights: np.ndarray) -> tuple[tuple[str, float], ...]:
    """The best label of each sense, its score times the share of the sense."""
    best = [
        (part.labels[0][0], float(part.labels[0][1] * weight))
        for part, weight in zip(parts, weights)
        if part.labels
    ]
    return tuple(sorted(best, key=lambda label: -label[1]))
