"""Retrieval across modalities: does the sound find its picture?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.evaluation.kinds import kinds_of
from imagebind_node.evaluation.listing import for_entry, read_list
from imagebind_node.evaluation.statistics import (
    bootstrap,
    chance_average_precision,
    chance_recall,
    proportion,
)
from imagebind_node.samples import Modality

RANKS = (1, 5, 10)
FIELDS = {Modality.VISION: "image", Modality.AUDIO: "sound", Modality.TEXT: "text"}


def evaluate_retrieval(
    encoder: Encoder, pairs_json: str | Path, *, kinds: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Rank all entries of a list by every entry, for each ordered pair of loaded modalities.

    pairs_json: list of {"text", "image", "sound"} (paths relative to the list) and, optionally, "kind".
    kinds: the kind of each "text", instead of "kind"; a text that is not listed is a kind of its own.
    An answer is right if it is the same thing: equal "text", or a byte-identical file of the query's modality.
    Where kinds are given, `same_kind` reports the same figures with every answer of the query's kind right, too, and
    with the chance that this has.

    Returns {"n", "directions": {"audio_to_vision": {"recall_at_1": {"value", "ci95", "n", "chance"}, ...,
    "mean_average_precision" (the same fields), "median_rank", "same_kind"}}, "kinds": their number or None,
    "abstained": {modality: share}, "encode_ms": {modality: median}}. An abstained query still counts, with the vector
    it has. Raises InvalidInputError naming the entry that cannot be read, or if `kinds` has none of the texts.
    """
    path = Path(pairs_json)
    loaded = [modality for modality in FIELDS if modality in encoder.modalities]
    fields: dict[str, type | tuple[type, ...]] = {FIELDS[modality]: str for modality in loaded}
    entries = read_list(path, fields | {"text": str})
    texts = [entry["text"] for entry in entries]
    named: list[Any] = [entry.get("kind") for entry in entries] if kinds is None else kinds_of(texts, kinds)
    same_kind = equal(named) if all(isinstance(kind, str) for kind in named) else None
    vectors: dict[Modality, np.ndarray] = {}
    digests: dict[Modality, list[str]] = {}
    report: dict[str, Any] = {
        "n": len(entries),
        "kinds": None if same_kind is None else len(set(named)),
        "directions": {},
        "abstained": {},
        "encode_ms": {},
    }
    for modality in loaded:
        embeddings, spent = encode_all(encoder, modality, entries, path)
        vectors[modality] = np.stack([vector_of(e) for e in embeddings])
        digests[modality] = [digest(path.parent, modality, entry) for entry in entries]
        report["abstained"][str(modality)] = float(np.mean([e.abstained for e in embeddings]))
        report["encode_ms"][str(modality)] = float(np.median(spent) * 1e3)
    for query in loaded:
        for answer in loaded:
            if query is answer:
                continue
            similarity = vectors[query] @ vectors[answer].T
            right = equal(texts) | equal(digests[query])
            result = _recalls(similarity, right)
            if same_kind is not None:
                result["same_kind"] = _recalls(similarity, right | same_kind)
            report["directions"][f"{query}_to_{answer}"] = result
    return report


def encode_all(
    encoder: Encoder, modality: Modality, entries: list[dict[str, Any]], path: Path
) -> tuple[list[Embedding], list[float]]:
    """Embeddings of one field of all entries of the list at `path`, and the seconds that each took."""
    from imagebind_node.files import as_sample

    embeddings, spent = [], []
    for index, entry in enumerate(entries):
        value: Any = entry[FIELDS[modality]]
        if modality is not Modality.TEXT:
            value = path.parent / value

        def embed(value: Any = value) -> Embedding:
            sample = as_sample(value, modality)
            start = time.perf_counter()
            (embedding,) = encoder.encode(modality, [sample])
            spent.append(time.perf_counter() - start)
            return embedding

        embeddings.append(for_entry(path, index, embed))
    return embeddings, spent


def vector_of(embedding: Embedding) -> np.ndarray:
    """An embedding without a vector is as far from everything as from everything else."""
    return embedding.vector if embedding.vector.size else np.zeros(embedding.space.dim, np.float32)


def digest(folder: Path, modality: Modality, entry: dict[str, Any]) -> str:
    """SHA-256 of an entry's file or words."""
    value = entry[FIELDS[modality]]
    content = value.encode() if modality is Modality.TEXT else (folder / value).read_bytes()
    return hashlib.sha256(content).hexdigest()


def equal(values: list[str]) -> np.ndarray:
    """Which values are the same: bool (N, N)."""
    column = np.array(values)
    return column[:, None] == column[None]


def _recalls(similarity: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    hits = np.take_along_axis(right, np.argsort(-similarity, axis=1, kind="stable"), 1)
    first = hits.argmax(1)
    result: dict[str, Any] = {}
    for rank in RANKS:
        chance = chance_recall(right.sum(1), len(right), rank)
        result[f"recall_at_{rank}"] = proportion(first < rank) | {"chance": chance}
    precision = np.cumsum(hits, 1) / np.arange(1, hits.shape[1] + 1)
    average = (precision * hits).sum(1) / hits.sum(1)
    result["mean_average_precision"] = {
        "value": float(average.mean()),
        "ci95": list(bootstrap(lambda index: float(average[index].mean()), len(average))),
        "n": len(average),
        "chance": chance_average_precision(right.sum(1), len(right)),
    }
    result["median_rank"] = float(np.median(first) + 1)
    return result
