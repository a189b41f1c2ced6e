"""When last? The newest of the moments that fit a query well."""

from __future__ import annotations

import numpy as np

from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.filters import MemoryFilter
from imagebind_node.memory.moment import Hit
from imagebind_node.memory.store import EVERYTHING, MAX_RESULTS, MemoryStore

# Without a floor a moment fits if its cosine is at least this share of the best one's.
NEAR_BEST = 0.8


def search_newest(
    store: MemoryStore,
    query: np.ndarray | Embedding,
    limit: int = 10,
    where: MemoryFilter = EVERYTHING,
    *,
    floor: float | None = None,
    with_vectors: bool = False,
) -> list[Hit]:
    """The `limit` newest moments whose cosine with the query is at least `floor`, newest first.

    floor: -1 to 1; None: 0.8 of the best cosine there is (nothing if that is not above 0). The 10,000 best moments are
    considered at most. Raises InvalidInputError as `MemoryStore.search` does, and for a floor out of range.
    """
    if floor is not None and not -1 <= floor <= 1:
        raise InvalidInputError(f"the least cosine must be -1 to 1, got {floor}")
    if not 1 <= limit <= MAX_RESULTS:
        raise InvalidInputError(f"the number of results must be 1 to {MAX_RESULTS}, got {limit}")
    wanted = min(MAX_RESULTS, max(100, 4 * limit))
    while True:
        hits = store.search(query, wanted, where, with_vectors=with_vectors)
        if not hits or (floor is None and hits[0].score <= 0):
            return []
        least = NEAR_BEST * hits[0].score if floor is None else floor
        fitting = [hit for hit in hits if hit.score >= least]
        if len(fitting) < wanted or wanted == MAX_RESULTS:
            return sorted(fitting, key=lambda hit: -hit.moment.stamp)[:limit]
        wanted = min(MAX_RESULTS, 10 * wanted)
