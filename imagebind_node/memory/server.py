"""MemoryStore on a Qdrant server or cluster, for fleets; one collection a space.

Over qdrant-client, whose local mode (":memory:") runs the same calls in this process, unindexed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import ImagebindNodeError, InvalidInputError, MissingDependencyError
from imagebind_node.memory.filters import Condition, Match, MemoryFilter
from imagebind_node.memory.moment import Hit, Moment
from imagebind_node.memory.store import EVERYTHING, MemoryStore

try:
    import httpx
    from qdrant_client import QdrantClient, models
    from qdrant_client.http.exceptions import ApiException
except ImportError as error:
    raise MissingDependencyError(
        "a memory on a Qdrant server needs its client: pip install 'imagebind_node[fleet]' (package qdrant-client)"
    ) from error

_BATCH = 500
KEY_VARIABLE = "IMAGEBIND_QDRANT_API_KEY"


class StoreUnreachableError(ImagebindNodeError, ConnectionError):
    """The database server does not answer, or refuses the request."""


def collection_name(space: Space) -> str:
    """Collection that holds a space; characters that Qdrant refuses become '-'."""
    return "imagebind-" + re.sub(r"[^A-Za-z0-9_.-]", "-", space.id)


class ServerStore(MemoryStore):
    """Memory at `url`; an API key is read from the environment variable IMAGEBIND_QDRANT_API_KEY.

    shards, replicas: for a cluster, used when the collection is made. Writes wait until they are applied by a
    majority of replicas.
    """

    def __init__(
        self,
        url: str,
        space: Space,
        *,
        shards: int | None = None,
        replicas: int | None = None,
        timeout: float = 30,
    ) -> None:
        self.space = space
        self.collection = collection_name(space)
        self.url = url
        key = os.environ.get(KEY_VARIABLE)
        try:
            # A server that is not there is told by the first request, in one line; the check would add another.
            self._client = (
                QdrantClient(":memory:")
                if url == ":memory:"
                else QdrantClient(url=url, api_key=key, timeout=int(timeout), check_compatibility=False)
            )
        except (ValueError, AttributeError) as error:
            raise InvalidInputError(
                f"{url!r} is no URL of a Qdrant server: write http://HOST:6333"
            ) from error
        with _Translated(url):
            self._prepare(shards, replicas)

    def _prepare(self, shards: int | None, replicas: int | None) -> None:
        if self._client.collection_exists(self.collection):
            params = self._client.get_collection(self.collection).config.params.vectors
            if not isinstance(params, models.VectorParams) or params.size != self.space.dim:
                raise InvalidInputError(
                    f"collection {self.collection!r} at {self.url} holds other vectors than {self.space.dim}-d: "
                    "it was made by another program or model version"
                )
        else:
            self._client.create_collection(
                self.collection,
                vectors_config=models.VectorParams(
                    size=self.space.dim, distance=models.Distance.DOT, on_disk=True
                ),
                quantization_config=models.ScalarQuantization(
                    scalar=models.ScalarQuantizationConfig(
                        type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                    )
                ),
                shard_number=shards,
                replication_factor=replicas,
                write_consistency_factor=None if replicas is None else replicas // 2 + 1,
            )
        if self.url == ":memory:":
            return  # Local mode scans its payloads and warns about every index asked for.
        for field, kind in (
            ("stamp", models.PayloadSchemaType.INTEGER),
            ("modality", models.PayloadSchemaType.KEYWORD),
            ("robot", models.PayloadSchemaType.KEYWORD),
            ("labels", models.PayloadSchemaType.KEYWORD),
            ("source", models.PayloadSchemaType.KEYWORD),
            ("pose.x", models.PayloadSchemaType.FLOAT),
            ("pose.y", models.PayloadSchemaType.FLOAT),
            ("pose.z", models.PayloadSchemaType.FLOAT),
        ):
            self._client.create_payload_index(self.collection, field, kind, wait=True)

    def require_room(self) -> None:
        """Its disk is the server's business."""

    def add(self, moments: Sequence[Moment], vectors: np.ndarray) -> list[str]:
        """Store moments; see MemoryStore.add. Durable as the server's own log is."""
        vectors = self._check_vectors(moments, vectors)
        ids = [moment.id(self.space) for moment in moments]
        with _Translated(self.url):
            for start in range(0, len(ids), _BATCH):
                part = slice(start, start + _BATCH)
                self._client.upsert(
                    self.collection,
                    points=[
                        models.PointStruct(id=key, vector=vector.tolist(), payload=moment.payload())
                        for key, vector, moment in zip(ids[part], vectors[part], moments[part])
                    ],
                    wait=True,
                )
        return ids

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
        vector = self._check_query(query, limit).tolist()
        params = models.SearchParams(
            exact=exact,
            hnsw_ef=max(128, 2 * limit),
            quantization=models.QuantizationSearchParams(ignore=exact, rescore=True, oversampling=2.0),
        )
        wanted = limit if where.place is None else 3 * limit
        while True:
            with _Translated(self.url):
                points = self._client.query_points(
                    self.collection,
                    query=vector,
                    limit=wanted,
                    query_filter=_native(where),
                    search_params=None if self.url == ":memory:" else params,
                    with_payload=True,
                    with_vectors=with_vectors,
                ).points
            hits = [_hit(point, point.score) for point in points]
            kept = hits if where.place is None else [h for h in hits if where.place.holds(h.moment)]
            if len(kept) >= limit or len(hits) < wanted:
                return kept[:limit]
            wanted *= 2

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Hit]:
        """Moments by id; see MemoryStore.get."""
        with _Translated(self.url):
            records = self._client.retrieve(
                self.collection, list(ids), with_payload=True, with_vectors=with_vectors
            )
        known = {str(record.id): _hit(record, 1.0) for record in records}
        return [known[key] for key in ids if key in known]

    def count(self, where: MemoryFilter = EVERYTHING) -> int:
        """How many match; see MemoryStore.count."""
        if where.place is not None:
            return sum(len(hits) for hits in self.scan(where))
        with _Translated(self.url):
            return self._client.count(self.collection, count_filter=_native(where), exact=True).count

    def scan(
        self, where: MemoryFilter = EVERYTHING, *, with_vectors: bool = False, batch: int = 500
    ) -> Iterator[list[Hit]]:
        """Every match; see MemoryStore.scan."""
        offset = None
        while True:
            with _Translated(self.url):
                records, offset = self._client.scroll(
                    self.collection,
                    scroll_filter=_native(where),
                    limit=batch,
                    offset=offset,
                    with_payload=True,
                    with_vectors=with_vectors,
                )
            hits = [_hit(record, 1.0) for record in records]
            hits = [h for h in hits if where.place is None or where.place.holds(h.moment)]
            if hits:
                yield hits
            if offset is None:
                return

    def forget(self, where: MemoryFilter) -> int:
        """Delete what matches; see MemoryStore.forget."""
        gone = 0
        while hits := next(self.scan(where, batch=1000), []):
            gone += self.forget_ids([hit.id for hit in hits])
        return gone

    def forget_ids(self, ids: Sequence[str]) -> int:
        """Delete by id; see MemoryStore.forget_ids."""
        gone = self.get(ids)
        if gone:
            with _Translated(self.url):
                self._client.delete(
                    self.collection, models.PointIdsList(points=[hit.id for hit in gone]), wait=True
                )
            if self.forgotten is not None:
                self.forgotten(gone)
        return len(gone)

    def trim(self, max_moments: int) -> int:
        """Delete the oldest; see MemoryStore.trim."""
        gone = 0
        while (excess := self.count() - max_moments) > 0:
            with _Translated(self.url):
                records, _ = self._client.scroll(
                    self.collection,
                    limit=min(excess, 1000),
                    order_by=models.OrderBy(key="stamp", direction=models.Direction.ASC),
                    with_payload=False,
                )
            gone += self.forget_ids([str(record.id) for record in records])
        return gone

    def close(self) -> None:
        """See MemoryStore.close."""
        self._client.close()


class _Translated:
    """Turns the client's connection errors into one line of ours."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (ApiException, httpx.HTTPError, ConnectionError)) and not isinstance(
            error, ImagebindNodeError
        ):
            reason = " ".join(str(error).split()) or type(error).__name__
            raise StoreUnreachableError(
                f"Qdrant at {self._url} failed ({reason}): check the URL, that it runs, and {KEY_VARIABLE}"
            ) from error


def _hit(point: models.Record | models.ScoredPoint, score: float) -> Hit:
    vector = None if point.vector is None else np.asarray(point.vector, dtype=np.float32)
    return Hit(str(point.id), float(score), Moment.from_payload(point.payload or {}), vector)


def _native(where: MemoryFilter) -> models.Filter | None:
    conditions: list[Condition] = where.conditions()
    if not conditions:
        return None
    return models.Filter(
        must=[
            models.FieldCondition(key=c.field, match=models.MatchAny(any=list(c.values)))
            if isinstance(c, Match)
            else models.FieldCondition(key=c.field, range=models.Range(gte=c.low, lte=c.high))
            for c in conditions
        ]
    )
