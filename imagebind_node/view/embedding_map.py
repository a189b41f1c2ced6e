"""A map of the embedding space: recent embeddings on the two directions in which they differ most."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from imagebind_node.embedding import Embedding, Space

_LEAST = 3


@dataclass(frozen=True)
class MapPoint:
    """One embedding on the map.

    x, y: between -2 and 2, in units of the space (unit vectors); age: seconds before the newest one.
    """

    x: float
    y: float
    kind: str
    label: str
    age: float = 0.0


class EmbeddingMap:
    """Principal component analysis (Hotelling 1933) of the last `capacity` embeddings of one space.

    The axes are turned to lie as near as possible to those before, so that the map does not flip while one looks. An
    embedding of another space starts the map afresh: vectors of different spaces never share one.
    """

    def __init__(self, capacity: int) -> None:
        self._recent: deque[tuple[str, Embedding]] = deque(maxlen=capacity)
        self._axes: np.ndarray | None = None
        self._space: Space | None = None

    def add(self, kind: str, embedding: Embedding) -> None:
        """Take a new embedding of a modality; one that abstained has no place."""
        if embedding.abstained:
            return
        if embedding.space != self._space:
            self._recent.clear()
            self._space, self._axes = embedding.space, None
        self._recent.append((kind, embedding))

    def points(self, queries: Mapping[str, Embedding]) -> list[MapPoint]:
        """Every embedding's place now, oldest first; then the queries of this space. Empty until there are a few."""
        moments = list(self._recent)
        shown = [(label, query) for label, query in queries.items() if query.space == self._space]
        if len(moments) + len(shown) < _LEAST:
            return []
        vectors = np.stack([embedding.vector for _, embedding in (*moments, *shown)])
        centred = vectors - vectors.mean(0)
        places = (centred @ self._fit(centred).T).tolist()
        newest = max((embedding.stamp for _, embedding in moments), default=0)
        return [
            MapPoint(x, y, kind, _label(e), max(0.0, (newest - e.stamp) / 1e9))
            for (kind, e), (x, y) in zip(moments, places)
        ] + [MapPoint(x, y, "query", label) for (label, _), (x, y) in zip(shown, places[len(moments) :])]

    def _fit(self, centred: np.ndarray) -> np.ndarray:
        """Two orthonormal axes (2, D)."""
        # By way of the matrix of inner products: fewer embeddings are kept than they have components.
        count = len(centred)
        values, vectors = eigh(centred @ centred.T, subset_by_index=(count - 2, count - 1))
        axes = (vectors[:, ::-1].T @ centred) / np.sqrt(np.maximum(values[::-1, None], 1e-12))
        if self._axes is not None:
            # Orthogonal Procrustes: the rotation or reflection within the plane that is nearest to the old axes.
            left, _, right = np.linalg.svd(self._axes @ axes.T)
            axes = left @ right @ axes
        self._axes = axes
        return axes


def _label(embedding: Embedding) -> str:
    return embedding.labels[0][0] if embedding.labels else ""
