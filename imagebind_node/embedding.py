"""Embeddings that know their space, and the arithmetic that is allowed on them.

Vectors of different spaces must never be compared, even when they are equally long. Every embedding therefore
carries its `Space`, and every operation here checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.samples import Modality


@dataclass(frozen=True)
class Space:
    """A vector space of embeddings: `id` names model and version, `dim` is the number of components."""

    id: str
    dim: int

    def require_same(self, other: Space) -> None:
        """Raise SpaceMismatchError unless `other` is this space."""
        if self != other:
            raise SpaceMismatchError(
                f"embeddings of space {self.id!r} ({self.dim}-d) cannot be compared with space {other.id!r} "
                f"({other.dim}-d): encode both with the same model, or map one over a fitted bridge"
            )


@dataclass(frozen=True, eq=False)
class Embedding:
    """A unit vector in a space, and where it came from.

    vector: float32 (dim,), L2-normalised, read-only; or (0,) if there was nothing to embed (then `abstained`).
    stamp: nanoseconds; end of the window for audio and IMU, capture time for pictures.
    window: seconds of signal that the vector covers, 0 for a still picture or text.
    confidence: 0 to 1, how much evidence the encoder saw; encoders without such a measure say 1.
    abstained: True if the evidence is below the encoder's floor: consumers must not act on the vector.
    labels: what the encoder recognised, as (name, score) pairs, best first; empty for encoders without classes.
    """

    vector: np.ndarray
    modality: Modality
    space: Space
    stamp: int = 0
    frame_id: str = ""
    window: float = 0.0
    confidence: float = 1.0
    abstained: bool = False
    labels: tuple[tuple[str, float], ...] = field(default=())

    def __post_init__(self) -> None:
        vector = np.ascontiguousarray(self.vector, dtype=np.float32)
        if vector.shape == (0,):
            if not self.abstained:
                raise InvalidInputError("an embedding without a vector must be marked as abstained")
        else:
            if vector.shape != (self.space.dim,):
                raise InvalidInputError(
                    f"embedding of space {self.space.id!r} must have {self.space.dim} components, got {vector.shape}"
                )
            norm = float(np.linalg.norm(vector))
            if not np.isfinite(norm) or norm < 1e-6:
                raise InvalidInputError("embedding vector is zero, NaN or infinite")
            if abs(norm - 1.0) > 1e-6:
                vector = vector / norm
        if vector is self.vector or vector.base is not None:
            vector = vector.copy()
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)

    def __matmul__(self, other: Embedding) -> float:
        return cosine(self, other)


def cosine(a: Embedding, b: Embedding) -> float:
    """Cosine of the angle between two embeddings, -1 to 1. Raises SpaceMismatchError across spaces."""
    a.space.require_same(b.space)
    matrix = stack([a, b])
    return float(np.clip(matrix[0] @ matrix[1], -1.0, 1.0))


def stack(embeddings: Sequence[Embedding]) -> np.ndarray:
    """Return the vectors as float32 (N, dim). Raises on mixed spaces, on an empty list and on missing vectors."""
    if not embeddings:
        raise InvalidInputError("no embeddings given")
    for embedding in embeddings:
        embeddings[0].space.require_same(embedding.space)
        if embedding.vector.size == 0:
            raise InvalidInputError(f"the {embedding.modality} embedding abstained and has no vector")
    return np.stack([embedding.vector for embedding in embeddings])


def combine(embeddings: Sequence[Embedding], weights: Sequence[float] | None = None) -> Embedding:
    """Add embeddings of one space: normalise, weight, sum, normalise (ImageBind, section 4.3).

    A negative weight subtracts. The result takes its modality from the heaviest term, the latest stamp, the
    longest window, and abstains if any term with weight does. Raises InvalidInputError if the terms cancel.
    """
    matrix = stack(embeddings)
    factors = np.ones(len(embeddings)) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.shape != (len(embeddings),) or not np.isfinite(factors).all():
        raise InvalidInputError(f"need one finite weight for each of {len(embeddings)} embeddings")
    total = factors @ matrix.astype(np.float64)
    if np.linalg.norm(total) < 1e-6 * max(1.0, float(np.abs(factors).sum())):
        raise InvalidInputError("the weighted embeddings cancel out: nothing is left to normalise")
    heaviest = embeddings[int(np.abs(factors).argmax())]
    used = [e for e, factor in zip(embeddings, factors) if factor != 0]
    return Embedding(
        vector=(total / np.linalg.norm(total)).astype(np.float32),
        modality=heaviest.modality,
        space=heaviest.space,
        stamp=max(e.stamp for e in used),
        frame_id=heaviest.frame_id,
        window=max(e.window for e in used),
        confidence=min(e.confidence for e in used),
        abstained=any(e.abstained for e in used),
    )
