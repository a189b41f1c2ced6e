"""The round trip of generation: draw what a sound says, look at the picture, and see whether it is still that."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.evaluation.listing import read_list
from imagebind_node.evaluation.retrieval import FIELDS, digest, encode_all, equal, vector_of
from imagebind_node.evaluation.statistics import chance_recall, wilson
from imagebind_node.generation.base import PictureGenerator
from imagebind_node.samples import ImageSample, Modality

RANKS = (1, 5)


def evaluate_generation(
    encoder: Encoder,
    generator: PictureGenerator,
    pairs_json: str | Path,
    *,
    query: Modality = Modality.AUDIO,
    draws: int = 2,
    steps: int = 0,
    seed: int = 1,
    gallery: np.ndarray | None = None,
    progress: Callable[[], None] = lambda: None,
    keep: Callable[[int, np.ndarray], None] = lambda index, pixels: None,
) -> dict[str, Any]:
    """Draw every entry's query `draws` times, embed the picture, and rank the texts of all entries by it.

    pairs_json: as for evaluate_retrieval. An answer is right if it is the same thing: equal "text", or a
    byte-identical file of the query's modality. A query that abstains is not drawn and counts as wrong.

    Beside `round_trip` stand `query`: the texts ranked by the query itself, without a picture, which bounds it in
    fairness; and `nearest_picture`: by the embedding of the picture nearest to the query, among the pictures of
    the list or, if given, `gallery`: unit embeddings (N, dim). Each has recall_at_1 and recall_at_5 with chance and a
    95 % interval for the number of entries (draws of one entry are not independent). keep(entry, pixels): gets each
    picture.

    Returns those, "n", "drawn", "draws", "query_modality", "seconds_per_picture" (median).
    """
    path = Path(pairs_json)
    loaded = (Modality.VISION, Modality.TEXT, query)
    fields: dict[str, type | tuple[type, ...]] = {FIELDS[modality]: str for modality in loaded}
    entries = read_list(path, fields | {"text": str})
    queries, _ = encode_all(encoder, query, entries, path)
    texts = np.stack([vector_of(e) for e in encode_all(encoder, Modality.TEXT, entries, path)[0]])
    if gallery is None:
        gallery = np.stack([vector_of(e) for e in encode_all(encoder, Modality.VISION, entries, path)[0]])
    right = equal([entry["text"] for entry in entries])
    right |= equal([digest(path.parent, query, entry) for entry in entries])
    asked = np.stack([vector_of(e) for e in queries])
    nearest = gallery[(asked @ gallery.T).argmax(1)]
    seen, spent = _draw_all(encoder, generator, queries, draws, steps, seed, progress, keep)
    chance = {rank: chance_recall(right.sum(1), len(right), rank) for rank in RANKS}

    def recalls(vectors: np.ndarray) -> dict[str, Any]:
        first = np.stack([_first_right(one @ texts.T, right) for one in vectors])
        found = {}
        for rank in RANKS:
            share = float((first < rank).mean())
            low, high = wilson(share * len(entries), len(entries))
            found[f"recall_at_{rank}"] = {
                "value": share,
                "ci95": [low, high],
                "n": len(entries),
                "chance": chance[rank],
            }
        return found

    return {
        "n": len(entries),
        "drawn": sum(not e.abstained for e in queries),
        "draws": draws,
        "query_modality": query.value,
        "round_trip": recalls(seen),
        "query": recalls(asked[None]),
        "nearest_picture": recalls(nearest[None]),
        "seconds_per_picture": float(np.median(spent)) if spent else 0.0,
    }


def _draw_all(
    encoder: Encoder,
    generator: PictureGenerator,
    queries: list[Embedding],
    draws: int,
    steps: int,
    seed: int,
    progress: Callable[[], None],
    keep: Callable[[int, np.ndarray], None],
) -> tuple[np.ndarray, list[float]]:
    """What the pictures are embedded as, (draws, N, dim), zeros where nothing was drawn; seconds of each picture."""
    seen = np.zeros((draws, len(queries), encoder.space.dim), np.float32)
    spent = []
    for index, embedding in enumerate(queries):
        for draw in range(draws):
            progress()
            if embedding.abstained:
                continue
            start = time.perf_counter()
            # Seeds that no two entries share.
            (picture,) = generator.generate(embedding, seed=seed + index * draws + draw, steps=steps)
            spent.append(time.perf_counter() - start)
            keep(index, picture.pixels)
            (looked,) = encoder.encode(Modality.VISION, [ImageSample(picture.pixels)])
            seen[draw, index] = vector_of(looked)
    return seen, spent


def _first_right(similarity: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rank from 0 of the first right answer in each row; a row of zeros finds nothing."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    first = np.take_along_axis(right, order, 1).argmax(1)
    return np.where(similarity.any(1), first, len(right))
