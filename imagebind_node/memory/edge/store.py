"""MemoryStore on Qdrant Edge: a folder of time-ordered shards, the newest of which grows."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.disk_space import ROOM_TO_ADD, ROOM_TO_FORGET, require_room
from imagebind_node.memory.edge.manifest import ShardEntry
from imagebind_node.memory.edge.shard import Shard
from imagebind_node.memory.edge.shards import Shards
from imagebind_node.memory.filters import MemoryFilter
from imagebind_node.memory.moment import Hit, Moment
from imagebind_node.memory.store import EVERYTHING, MemoryStore

# Points a call of the engine: it holds Python's global lock, and searches should not wait long for it.
_CHUNK = 100
# A restart repeats the log since the last flush: 5,000 points take about 0.15 s.
_FLUSH_EVERY = 5_000
_SCAN_FLOATS = 50_000 * 384
# Candidates by int8 copies a wanted hit; measured with benchmarks/memory.py.
_OVERSAMPLING = 2


class EdgeStore(MemoryStore):
    """Memory in this process and one folder.

    shard_points: moments a shard takes before it is sealed and indexed; the default keeps a scan of the growing
    shard at about 5 ms. durable: "power" returns from `add` after the log is on the disk (one fdatasync a call:
    store in batches of 10 or more where rates are high); "process" leaves that to the kernel, so that a killed
    process loses nothing but a power cut may lose the last seconds. index: build graphs in the background.
    """

    def __init__(
        self,
        folder: str | Path,
        space: Space,
        *,
        shard_points: int | None = None,
        durable: str = "power",
        index: bool = True,
    ) -> None:
        if durable not in ("power", "process"):
            raise InvalidInputError(f"durability must be 'power' or 'process', got {durable!r}")
        if shard_points is not None and shard_points < 100:
            raise InvalidInputError(f"a shard must take at least 100 moments, got {shard_points}")
        self.space = space
        self._shard_points = shard_points or max(1000, _SCAN_FLOATS // space.dim)
        self._power = durable == "power"
        self._write = threading.RLock()
        self._shards = Shards(Path(folder), space, self._write, index=index)
        self._lock = self._shards.lock
        self._newest = self.span()[1]

    @property
    def folder(self) -> Path:
        """Where the memory lives."""
        return self._shards.folder

    def require_room(self) -> None:
        """See MemoryStore.require_room."""
        require_room(self.folder, ROOM_TO_ADD)

    def add(self, moments: Sequence[Moment], vectors: np.ndarray) -> list[str]:
        """Store moments; see MemoryStore.add."""
        vectors = self._check_vectors(moments, vectors)
        ids = [moment.id(self.space) for moment in moments]
        unique = {key: position for position, key in enumerate(ids)}
        positions = list(unique.values())
        with self._write:
            touched: set[Shard] = set()
            for start in range(0, len(positions), _CHUNK):
                chunk = positions[start : start + _CHUNK]
                self.require_room()
                with self._shards.in_use():
                    touched |= self._add_chunk(chunk, ids, vectors, moments)
            for shard in touched:
                if self._power:
                    shard.sync()
                with self._lock:
                    shard.flush(_FLUSH_EVERY)
            if self._shards.active.count >= self._shard_points:
                self._shards.seal()
        return ids

    def _add_chunk(
        self, chunk: list[int], ids: list[str], vectors: np.ndarray, moments: Sequence[Moment]
    ) -> set[Shard]:
        touched: set[Shard] = set()
        stamps = [moments[p].stamp for p in chunk]
        if min(stamps) <= self._newest:
            # The id contains the stamp, so only shards that span it can know the moment already.
            for entry, shard in self._shards.pairs():
                known = shard.present([ids[p] for p in chunk if entry.may_hold(moments[p].stamp)])
                if known:
                    again = [p for p in chunk if ids[p] in known]
                    shard.upsert([ids[p] for p in again], vectors[again], [moments[p] for p in again])
                    touched.add(shard)
                    chunk = [p for p in chunk if ids[p] not in known]
        if chunk:
            active = self._shards.active
            active.append([ids[p] for p in chunk], vectors[chunk], [moments[p] for p in chunk])
            touched.add(active)
        self._newest = max(self._newest, *stamps)
        return touched

    def search(
        self,
        query: np.ndarray | Embedding,
        limit: int = 10,
        where: MemoryFilter = EVERYTHING,
        *,
        exact: bool = False,
        with_vectors: bool = False,
    ) -> list[Hit]:
        """The nearest moments; see MemoryStore.search."""
        vector = self._check_query(query, limit)
        # The database knows boxes, a place is a sphere in it (half its volume): ask for more, drop the corners.
        wanted = limit if where.place is None else 3 * limit
        while True:
            with self._shards.in_use():
                hits = self._nearest(vector, wanted, where, exact)
            kept = hits if where.place is None else [h for h in hits if where.place.holds(h.moment)]
            if len(kept) >= limit or len(hits) < wanted:
                return [hit if with_vectors else replace(hit, vector=None) for hit in kept[:limit]]
            wanted *= 2

    def _nearest(self, vector: np.ndarray, limit: int, where: MemoryFilter, exact: bool) -> list[Hit]:
        """The best by the original vectors among the best candidates of all shards by their int8 copies.

        Originals lie on disk. Scoring them here, for twice the wanted number, instead of in every shard reads and
        maps a twentieth of the pages where the history is long.
        """
        wanted = limit if exact else _OVERSAMPLING * limit
        found: list[tuple[float, str, Shard]] = []
        for entry, shard in self._shards.pairs():
            if not shard.count or not entry.may_match(where):
                continue
            inside = entry.sealed and where.covers(entry.first, entry.last)
            conditions = where.conditions(time=not inside)
            found += [(s, key, shard) for s, key in shard.search(vector, wanted, conditions, exact)]
        candidates: dict[Shard, list[str]] = {}
        for _, key, shard in heapq.nlargest(wanted, found, key=lambda item: item[0]):
            candidates.setdefault(shard, []).append(key)
        hits = [
            Hit(key, float(stored @ vector), moment, stored)
            for shard, keys in candidates.items()
            for key, (moment, stored) in shard.get(keys, True).items()
            if stored is not None
        ]
        return heapq.nlargest(limit, hits, key=lambda hit: hit.score)

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Hit]:
        """Moments by id; see MemoryStore.get."""
        found: dict[str, tuple[Moment, np.ndarray | None]] = {}
        with self._shards.in_use():
            for _, shard in self._shards.pairs():
                found.update(shard.get(ids, with_vectors))
        return [Hit(key, 1.0, *found[key]) for key in ids if key in found]

    def count(self, where: MemoryFilter = EVERYTHING) -> int:
        """How many match; see MemoryStore.count."""
        if where.place is not None:
            return sum(len(hits) for hits in self.scan(where))
        with self._shards.in_use():
            return sum(
                shard.count if where == EVERYTHING else shard.count_matches(where.conditions())
                for entry, shard in self._shards.pairs()
                if entry.may_match(where)
            )

    def scan(
        self, where: MemoryFilter = EVERYTHING, *, with_vectors: bool = False, batch: int = 500
    ) -> Iterator[list[Hit]]:
        """Every match; see MemoryStore.scan. A shard that is exchanged meanwhile is read on in its new copy."""
        with self._shards.in_use():
            keys = [entry.key for entry, _ in self._shards.pairs() if entry.may_match(where)]
        for key in keys:
            offset: str | None = None
            while (found := self.page(key, batch, offset, where, with_vectors)) is not None:
                hits, offset = found
                if hits:
                    yield hits
                if offset is None:
                    break

    def span(self) -> tuple[int, int]:
        """Smallest and largest stamp; (0, 0) if empty."""
        with self._lock:
            spans = [shard.span() for _, shard in self._shards.pairs() if shard.count]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else (0, 0)

    def shard_keys(self) -> list[tuple[str, bool]]:
        """Key of each shard and whether it is sealed, oldest first."""
        with self._shards.in_use():
            return [(entry.key, entry.sealed) for entry, _ in self._shards.pairs()]

    def page(
        self,
        key: str,
        limit: int,
        offset: str | None = None,
        where: MemoryFilter = EVERYTHING,
        with_vectors: bool = True,
    ) -> tuple[list[Hit], str | None] | None:
        """Matches of one shard in order of id from `offset` on, and where to go on; None if the shard was dropped."""
        with self._shards.in_use():
            shard = self._shards.by_key(key)
            if shard is None:
                return None
            hits, following = shard.page(where.conditions(), limit, offset, with_vectors)
        return [h for h in hits if where.place is None or where.place.holds(h.moment)], following

    def forget(self, where: MemoryFilter) -> int:
        """Delete what matches; see MemoryStore.forget."""
        gone = 0
        time_only = replace(where, since=None, until=None) == EVERYTHING
        with self._write:
            if time_only:
                for entry, shard in list(self._shards.pairs()):
                    if entry.sealed and where.covers(entry.first, entry.last):
                        gone += self._drop(entry, shard)
            while hits := next(self.scan(where, batch=1000), []):
                gone += self.forget_ids([hit.id for hit in hits])
        return gone

    def forget_ids(self, ids: Sequence[str]) -> int:
        """Delete by id; see MemoryStore.forget_ids."""
        gone: list[Hit] = []
        with self._write:
            for _, shard in list(self._shards.pairs()):
                require_room(self.folder, ROOM_TO_FORGET)
                with self._shards.in_use():
                    known = shard.get(ids, False)
                    if not known:
                        continue
                    shard.delete(list(known))
                    gone += [Hit(key, 1.0, moment) for key, (moment, _) in known.items()]
                shard.sync()
                with self._lock:
                    shard.flush(_FLUSH_EVERY)
                if shard.count == 0 and shard is not self._shards.active:
                    self._shards.drop(shard)
        if gone and self.forgotten is not None:
            self.forgotten(gone)
        return len(gone)

    def trim(self, max_moments: int) -> int:
        """Delete the oldest; see MemoryStore.trim. Exact where shards do not overlap in time, as on a robot."""
        gone = 0
        with self._write:
            while (excess := self.count() - max_moments) > 0:
                with self._lock:
                    shard = min(self._shards.pairs(), key=lambda pair: (not pair[0].sealed, pair[0].last))[1]
                    oldest = shard.oldest(min(excess, 1000))
                gone += self.forget_ids([hit.id for hit in oldest])
        return gone

    def disk_bytes(self) -> int:
        """See MemoryStore.disk_bytes."""
        return self._shards.disk_bytes()

    def drop_oldest(self) -> int:
        """See MemoryStore.drop_oldest; the shard that grows stays."""
        with self._write:
            sealed = [pair for pair in self._shards.pairs() if pair[0].sealed]
            return self._drop(*min(sealed, key=lambda pair: pair[0].last)) if sealed else 0

    def _drop(self, entry: ShardEntry, shard: Shard) -> int:
        """Delete a sealed shard as a whole; what belongs to its moments first, or a crash would leave that for ever."""
        offset: str | None = None
        while self.forgotten is not None:
            hits, offset = self.page(entry.key, 1000, offset, with_vectors=False) or ([], None)
            self.forgotten(hits)
            if offset is None:
                break
        gone = shard.count
        self._shards.drop(shard)
        return gone

    def wait_indexed(self, timeout: float | None = None) -> bool:
        """Wait until every sealed shard is indexed; False on timeout (seconds)."""
        return self._shards.wait_indexed(timeout)

    def seal(self) -> None:
        """Close the growing shard early, so that it gets its index."""
        with self._write:
            if self._shards.active.count:
                self._shards.seal()

    def close(self) -> None:
        """See MemoryStore.close."""
        self._shards.close()
