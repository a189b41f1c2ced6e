"""What every memory database offers, and how to open one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.filters import MemoryFilter
from imagebind_node.memory.moment import Hit, Moment

Store = TypeVar("Store", bound="MemoryStore")
EVERYTHING = MemoryFilter()
MAX_RESULTS = 10_000


class MemoryStore(ABC):
    """Vectors of one space with their moments. Thread-safe.

    forgotten: called with moments that are deleted, to remove what belongs to them; None by default.
    """

    space: Space
    forgotten: Callable[[Sequence[Hit]], None] | None = None

    @abstractmethod
    def add(self, moments: Sequence[Moment], vectors: np.ndarray) -> list[str]:
        """Store moments with unit vectors, float32 (N, dim); returns their ids once they are durable.

        A moment that is known already is overwritten. Raises InvalidInputError on bad vectors, DiskFullError.
        """

    @abstractmethod
    def require_room(self) -> None:
        """Raise DiskFullError if there is no room for `add`; a store that has its disk elsewhere never does."""

    @abstractmethod
    def search(
        self,
        query: np.ndarray | Embedding,
        limit: int = 10,
        where: MemoryFilter = EVERYTHING,
        *,
        exact: bool = False,
        with_vectors: bool = False,
    ) -> list[Hit]:
        """The `limit` nearest moments, best first. `exact` compares with every vector in full precision."""

    @abstractmethod
    def forget(self, where: MemoryFilter) -> int:
        """Delete what matches, durably; returns how many."""

    @abstractmethod
    def forget_ids(self, ids: Sequence[str]) -> int:
        """Delete by id, durably; returns how many there were."""

    @abstractmethod
    def count(self, where: MemoryFilter = EVERYTHING) -> int:
        """How many memories match, exactly."""

    @abstractmethod
    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Hit]:
        """Moments by id, in the order asked; unknown ids are left out. Their score is 1."""

    @abstractmethod
    def scan(
        self, where: MemoryFilter = EVERYTHING, *, with_vectors: bool = False, batch: int = 500
    ) -> Iterator[list[Hit]]:
        """Every match in lists of at most `batch`, in no particular order. Their score is 1."""

    @abstractmethod
    def trim(self, max_moments: int) -> int:
        """Delete the oldest so that about `max_moments` are left; returns how many went."""

    def disk_bytes(self) -> int:
        """What it takes on the disk of this machine; 0 if it has its disk elsewhere."""
        return 0

    def drop_oldest(self) -> int:
        """Delete the oldest memories by a shard, which frees its disk; returns how many, 0 if that is not possible."""
        return 0

    @abstractmethod
    def close(self) -> None:
        """Write everything to disk and let go of it. A second call does nothing."""

    def __enter__(self: Store) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_vectors(self, moments: Sequence[Moment], vectors: np.ndarray) -> np.ndarray:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.shape != (len(moments), self.space.dim):
            raise InvalidInputError(
                f"memory of space {self.space.id!r} wants vectors ({len(moments)}, {self.space.dim}) for "
                f"{len(moments)} moments, got {vectors.shape}"
            )
        norms = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(norms).all() or (np.abs(norms - 1) > 1e-3).any():
            raise InvalidInputError(
                "memories must be finite vectors of norm 1: normalise the embeddings first"
            )
        return vectors

    def _check_query(self, query: np.ndarray | Embedding, limit: int) -> np.ndarray:
        if isinstance(query, Embedding):
            self.space.require_same(query.space)
            if query.vector.size == 0:
                raise InvalidInputError("the query abstained: there is nothing to search for")
            query = query.vector
        vector = np.ascontiguousarray(query, dtype=np.float32)
        if vector.shape != (self.space.dim,) or not np.isfinite(vector).all() or not vector.any():
            raise InvalidInputError(
                f"the query must be one finite vector of {self.space.dim} components that is not zero, "
                f"got shape {vector.shape}"
            )
        if not 1 <= limit <= MAX_RESULTS:
            raise InvalidInputError(f"the number of results must be 1 to {MAX_RESULTS}, got {limit}")
        return vector / np.linalg.norm(vector)


def open_memory(location: str | Path, space: Space, **options: Any) -> MemoryStore:
    """Open the memory of `space` in a folder (Qdrant Edge), or at a URL or ":memory:" (Qdrant server, qdrant-client).

    Raises MissingDependencyError naming the extra if the database is not installed, InvalidInputError if the
    folder belongs to another space or another process has it open.
    """
    if str(location) == ":memory:" or "://" in str(location):
        from imagebind_node.memory.server import ServerStore

        return ServerStore(str(location), space, **options)
    from imagebind_node.memory.edge.store import EdgeStore

    return EdgeStore(location, space, **options)
