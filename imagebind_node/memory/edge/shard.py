"""One shard of Qdrant Edge: its configuration, durable writes and searches."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError, MissingDependencyError
from imagebind_node.memory.edge.manifest import sync_folder
from imagebind_node.memory.filters import Condition, Match
from imagebind_node.memory.moment import Hit, Moment

try:
    import qdrant_edge as qdrant
except ImportError as error:
    raise MissingDependencyError(
        "the embedded memory needs Qdrant Edge: pip install 'imagebind_node[memory]' (package qdrant-edge-py)"
    ) from error

log = logging.getLogger(__name__)
# Below this many kilobytes of candidate vectors a scan of the int8 copies is faster than the graph and exact to
# rescoring; measured with benchmarks/memory.py.
_FULL_SCAN_KILOBYTES = 30_000
_EF = 128
# Each index costs 3 to 5 MB a shard. A robot's name and topic hardly tell its own memories apart, and height
# little about a place; these are checked without an index.
INDEXED_FIELDS = ("stamp", "modality", "labels", "pose.x", "pose.y")


def shard_config(space: Space, log: bool) -> qdrant.EdgeConfig:
    """Original vectors on disk, int8 copies in memory, a graph of 16 links built by one thread (robots are busy)."""
    return qdrant.EdgeConfig(
        vectors=qdrant.EdgeVectorParams(
            size=space.dim, distance=qdrant.Distance.Dot, memory=qdrant.Memory.Cold
        ),
        hnsw_config=qdrant.HnswIndexConfig(
            m=16,
            ef_construct=100,
            full_scan_threshold=_FULL_SCAN_KILOBYTES,
            max_indexing_threads=1,
        ),
        quantization_config=qdrant.ScalarQuantizationConfig(
            type=qdrant.ScalarType.Int8, quantile=0.99, memory=qdrant.Memory.Pinned
        ),
        optimizers=qdrant.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1000),
        wal_enabled=log,
    )


def create_shard(path: Path, space: Space, *, log: bool = True) -> None:
    """Make an empty shard with its payload indexes, with or without a write-ahead log, and leave it closed."""
    path.mkdir(parents=True)
    engine = qdrant.EdgeShard.create(str(path), shard_config(space, log))
    schema: qdrant.IntegerIndexParams | qdrant.FloatIndexParams | qdrant.KeywordIndexParams
    for field in INDEXED_FIELDS:
        if field == "stamp":
            schema = qdrant.IntegerIndexParams(lookup=False, range=True, enable_hnsw=False)
        elif field.startswith("pose."):
            schema = qdrant.FloatIndexParams(enable_hnsw=False)
        else:
            schema = qdrant.KeywordIndexParams(enable_hnsw=False)
        engine.update(qdrant.UpdateOperation.create_field_index(field, schema))
    engine.flush()
    engine.close()


def _native(conditions: Sequence[Condition]) -> qdrant.Filter | None:
    if not conditions:
        return None
    return qdrant.Filter(
        must=[
            qdrant.FieldCondition(condition.field, match=qdrant.MatchAny(list(condition.values)))
            if isinstance(condition, Match)
            else qdrant.FieldCondition(
                condition.field, range=qdrant.RangeFloat(gte=condition.low, lte=condition.high)
            )
            for condition in conditions
        ]
    )


class Shard:
    """An open shard. Not thread-safe: the store holds a lock around every call.

    Writes reach the write-ahead log before they return; `sync` makes the log durable, which needs no lock. A shard
    without a log (an indexed one) is durable after `flush`.
    While `journal` is a list, every write is also kept there, to be repeated on the indexed copy.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._engine = qdrant.EdgeShard.load(str(path))
        except Exception as error:
            raise InvalidInputError(
                f"memory shard {path} cannot be opened ({error}): restore it, or move it away and "
                f"remove it from memory.json"
            ) from error
        self.journal: list[qdrant.UpdateOperation] | None = None
        self.count = int(self._engine.count(qdrant.CountRequest(exact=True)))
        self._unflushed = 0
        self._logged = any((path / "wal").glob("open-*"))

    def upsert(self, ids: Sequence[str], vectors: np.ndarray, moments: Sequence[Moment]) -> None:
        """Insert or overwrite; `count` is brought up to date."""
        points = [
            qdrant.Point(key, vector, moment.payload()) for key, vector, moment in zip(ids, vectors, moments)
        ]
        known = len(self.present(ids))
        self.apply(qdrant.UpdateOperation.upsert_points(points), len(points))
        self.count += len(points) - known

    def append(self, ids: Sequence[str], vectors: np.ndarray, moments: Sequence[Moment]) -> None:
        """Insert what is known to be new (saves the look-up of `upsert`)."""
        points = [
            qdrant.Point(key, vector, moment.payload()) for key, vector, moment in zip(ids, vectors, moments)
        ]
        self.apply(qdrant.UpdateOperation.upsert_points(points), len(points))
        self.count += len(points)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points that are present."""
        self.apply(qdrant.UpdateOperation.delete_points(list(ids)), len(ids))
        self.count -= len(ids)

    def apply(self, operation: qdrant.UpdateOperation, size: int) -> None:
        """One write into log and segments."""
        self._engine.update(operation)
        if self.journal is not None:
            self.journal.append(operation)
        self._unflushed += size

    def present(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` this shard holds."""
        return {str(record.id) for record in self._engine.retrieve(list(ids), False, False)}

    def sync(self) -> None:
        """Make all writes so far survive a power cut.

        The engine maps the files of its log and leaves it to the kernel when they reach the disk; fdatasync writes
        the dirty pages of a file whoever mapped it, and costs nothing for the clean ones.
        """
        if not self._logged:
            return
        log = self.path / "wal"
        for file in log.iterdir():
            if file.name.startswith(("open-", "closed-")):
                descriptor = os.open(file, os.O_RDWR)
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)
        sync_folder(log)

    def flush(self, every: int = 0) -> None:
        """Write segments to disk and shorten the log, if at least `every` points were written since the last time."""
        if self._unflushed > (every if self._logged else 0):
            self._engine.flush()
            self._unflushed = 0

    def search(
        self, vector: np.ndarray, limit: int, conditions: Sequence[Condition], exact: bool
    ) -> list[tuple[float, str]]:
        """(cosine, id) pairs, best first."""
        native = _native(conditions)
        params = (
            qdrant.SearchParams(exact=True, quantization=qdrant.QuantizationSearchParams(ignore=True))
            if exact
            else qdrant.SearchParams(
                hnsw_ef=max(_EF, 2 * limit),
                quantization=qdrant.QuantizationSearchParams(rescore=False),
                # Plain filtered search of the graph loses up to 60 % of the answers at 20 % selectivity.
                acorn=None if native is None else qdrant.AcornSearchParams(enable=True, max_selectivity=1.0),
            )
        )
        nearest = qdrant.Query.Nearest(vector)  # type: ignore[arg-type]  # takes arrays; its stub says lists only
        request = qdrant.QueryRequest(limit=limit, query=nearest, filter=native, params=params)
        return [(point.score, str(point.id)) for point in self._engine.query(request)]

    def get(self, ids: Sequence[str], with_vectors: bool) -> dict[str, tuple[Moment, np.ndarray | None]]:
        """Moments, and vectors if asked, by id."""
        return {
            str(record.id): (Moment.from_payload(record.payload or {}), _vector(record, with_vectors))
            for record in self._engine.retrieve(list(ids), True, with_vectors)
        }

    def count_matches(self, conditions: Sequence[Condition]) -> int:
        """Exact number of matches."""
        return int(self._engine.count(qdrant.CountRequest(exact=True, filter=_native(conditions))))

    def page(
        self, conditions: Sequence[Condition], limit: int, offset: str | None, with_vectors: bool
    ) -> tuple[list[Hit], str | None]:
        """Up to `limit` matches from id `offset` on, ordered by id, and the id to go on from (None: the end)."""
        records, following = self._engine.scroll(
            qdrant.ScrollRequest(
                offset=offset,
                limit=limit,
                filter=_native(conditions),
                with_payload=True,
                with_vector=with_vectors,
            )
        )
        hits = [
            Hit(str(r.id), 1.0, Moment.from_payload(r.payload or {}), _vector(r, with_vectors))
            for r in records
        ]
        return hits, None if following is None else str(following)

    def oldest(self, limit: int) -> list[Hit]:
        """The `limit` moments of smallest stamp."""
        return self._by_stamp(limit, qdrant.Direction.Asc)

    def span(self) -> tuple[int, int]:
        """Smallest and largest stamp; (0, 0) if empty."""
        first, last = self.oldest(1), self._by_stamp(1, qdrant.Direction.Desc)
        return (first[0].moment.stamp, last[0].moment.stamp) if first else (0, 0)

    def _by_stamp(self, limit: int, direction: qdrant.Direction) -> list[Hit]:
        records, _ = self._engine.scroll(
            qdrant.ScrollRequest(
                limit=limit, with_payload=True, order_by=qdrant.OrderBy("stamp", direction=direction)
            )
        )
        return [Hit(str(r.id), 1.0, Moment.from_payload(r.payload or {})) for r in records]

    def close(self) -> None:
        """Flush and let go of the files."""
        try:
            self.flush()
        except Exception as error:
            if not self._logged:
                raise
            log.warning(
                "memory shard %s was not flushed (%s): its log is read at the next start", self.path, error
            )
        self._engine.close()


def _vector(record: qdrant.Record, wanted: bool) -> np.ndarray | None:
    if not wanted:
        return None
    stored = record.vector[""] if isinstance(record.vector, dict) else record.vector
    return np.asarray(stored, dtype=np.float32)
