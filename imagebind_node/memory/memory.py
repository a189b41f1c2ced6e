"""A robot's memory: what is new is kept, with a thumbnail, for as long as the limits say."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.filters import MemoryFilter
from imagebind_node.memory.media import MediaFolder
from imagebind_node.memory.moment import Hit, Moment, Pose
from imagebind_node.memory.novelty import NoveltyGate
from imagebind_node.memory.store import EVERYTHING, MemoryStore


@dataclass(frozen=True)
class Retention:
    """How long to remember; None is without limit.

    max_age: seconds; max_moments: number of memories; max_bytes: on the disk of this machine, thumbnails included. Over
    max_bytes whole shards are dropped, the oldest first (50,000 memories of 384-d), but never the one that grows.
    """

    max_age: float | None = None
    max_moments: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.max_age is not None and self.max_age <= 0:
            raise InvalidInputError(
                f"the maximum age of memories must be greater than 0 s, got {self.max_age}"
            )
        if self.max_moments is not None and self.max_moments < 1:
            raise InvalidInputError(
                f"the maximum number of memories must be 1 or more, got {self.max_moments}"
            )
        if self.max_bytes is not None and self.max_bytes < 1:
            raise InvalidInputError(
                f"the maximum size of memories must be 1 byte or more, got {self.max_bytes}"
            )


@dataclass(frozen=True)
class Impression:
    """One thing to remember: the embedding and what goes with it. picture: uint8 (H, W, 3) RGB for a thumbnail."""

    embedding: Embedding
    source: str = ""
    pose: Pose | None = None
    picture: np.ndarray | None = None


class Memory:
    """Ties a store to a novelty gate, a folder of thumbnails and limits. Thread-safe.

    robot: name written into every moment; media: folder for thumbnails, None keeps none.
    """

    def __init__(
        self,
        store: MemoryStore,
        *,
        robot: str = "",
        novelty: NoveltyGate | None = None,
        retention: Retention = Retention(),
        media: str | Path | None = None,
    ) -> None:
        self.store = store
        self.robot = robot
        self.retention = retention
        self._novelty = novelty
        self._media = None if media is None else MediaFolder(media)
        self._gate = threading.Lock()
        self.skipped = 0
        if self._media is not None:
            store.forgotten = self._discard

    def remember(self, impressions: Sequence[Impression]) -> list[str]:
        """Store what is new and did not abstain, durably; returns the ids of those. One call is one group commit.

        Raises DiskFullError, before anything counts as known, so that the same may be tried again.
        """
        self.store.require_room()
        moments: list[Moment] = []
        vectors: list[np.ndarray] = []
        for impression in impressions:
            embedding = impression.embedding
            self.store.space.require_same(embedding.space)
            with self._gate:
                if embedding.abstained or (self._novelty is not None and not self._novelty.is_new(embedding)):
                    self.skipped += 1
                    continue
            moment = Moment.of(embedding, robot=self.robot, source=impression.source, pose=impression.pose)
            if impression.picture is not None and self._media is not None:
                moment = replace(
                    moment, media=self._media.put(moment.id(self.store.space), impression.picture)
                )
            moments.append(moment)
            vectors.append(embedding.vector)
        return self.store.add(moments, np.stack(vectors)) if moments else []

    def search(
        self, query: Embedding | np.ndarray, limit: int = 10, where: MemoryFilter = EVERYTHING
    ) -> list[Hit]:
        """The nearest moments, best first; see MemoryStore.search."""
        return self.store.search(query, limit, where)

    def thumbnail(self, hit: Hit) -> bytes | None:
        """JPEG bytes of a hit's thumbnail, None if it has none."""
        return None if self._media is None else self._media.read(hit.moment.media)

    def forget(self, where: MemoryFilter) -> int:
        """Delete what matches with its thumbnails; returns how many moments went."""
        return self.store.forget(where)

    def expire(self, now: int) -> int:
        """Enforce the limits; `now`: nanoseconds on the clock of the stamps. Returns how many moments went."""
        gone = 0
        if self.retention.max_age is not None:
            gone += self.forget(MemoryFilter(until=now - int(self.retention.max_age * 1e9)))
        if self.retention.max_moments is not None:
            gone += self.store.trim(self.retention.max_moments)
        if self.retention.max_bytes is not None:
            while self._bytes() > self.retention.max_bytes and (dropped := self.store.drop_oldest()):
                gone += dropped
        return gone

    def _bytes(self) -> int:
        return self.store.disk_bytes() + (0 if self._media is None else self._media.size)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _discard(self, hits: Sequence[Hit]) -> None:
        assert self._media is not None
        self._media.discard(hit.moment.media for hit in hits)
