"""Frozen embeddings of pairs, kept on disk: a tower and the data that it saw decide them, so they are made once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from imagebind_node.binding.recipe import Anchor
from imagebind_node.binding.senses import anchor_of
from imagebind_node.binding.shards import Pair, PairShards
from imagebind_node.binding.views import Views, picture_view
from imagebind_node.embedding import Space
from imagebind_node.encoders.base import Encoder, load_encoder
from imagebind_node.errors import ModelFileError
from imagebind_node.model_store import cache_root, write_atomically
from imagebind_node.samples import ImageSample, Modality, Sample, parse_modality

logger = logging.getLogger(__name__)
_BATCH = 16
_LAYOUT = "anchors (N, V, D)"
Progress = Callable[[Iterable[Pair], str, int], Iterable[Pair]]
"""(pairs, what is done, how many) -> the same pairs, watched."""


class AnchorTower:
    """The frozen tower of a recipe. Its weights are read when the first pair is embedded, never for cached pairs."""

    def __init__(self, anchor: Anchor, device: str = "cpu") -> None:
        """Raises what `load_encoder` raises, and InvalidInputError for an unknown modality."""
        self.modality: Modality = parse_modality(anchor.modality)
        self._anchor, self._device = anchor, device
        self._encoder: Encoder | None = None
        # No tower: this tells the space, and that the model is there, before an hour of work.
        self.space: Space = self._load([]).space

    def _load(self, modalities: list[Modality]) -> Encoder:
        anchor = self._anchor
        device = self._device if anchor.model != "concept" else "cpu"
        return load_encoder(anchor.model, checkpoint=anchor.checkpoint, modalities=modalities, device=device)

    def embed(self, samples: Sequence[Sample]) -> list[np.ndarray | None]:
        """Unit vectors, float32 (D,), or None where the encoder abstained (a black picture, silence)."""
        if self._encoder is None:
            self._encoder = self._load([self.modality])
        found = self._encoder.encode(self.modality, samples)
        return [None if one.abstained or not one.vector.size else one.vector for one in found]

    def key(self, data: str, views: Views | None = None) -> str:
        """Name of the cached anchors of the pairs whose hash is `data`, or of versions of their pictures."""
        from imagebind_node import __version__

        facts = [
            _LAYOUT,
            __version__,
            self._anchor.model,
            _card(self._anchor),
            self.space.id,
            self.space.dim,
            data,
        ]
        facts += [str(self.modality), *([asdict(views)] if views is not None else [])]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def embed_anchors(
    tower: AnchorTower, shards: PairShards, split: str, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Anchors float32 (N, D) of the pairs of a split, in their order, and which of them are usable, bool (N,).

    Each shard is cached by itself: an interrupted run loses one at most, and data that is added costs no more than
    itself.
    """
    anchors, usable = _embed_split(
        tower, shards, split, progress, lambda pair, _: anchor_of(pair, tower.modality)
    )
    return anchors[:, 0], usable[:, 0]


def embed_views(
    tower: AnchorTower, shards: PairShards, split: str, views: Views, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """As `embed_anchors`, of the versions of each picture: float32 (N, V, D) and bool (N, V)."""

    def version(pair: Pair, number: int) -> Sample:
        whole = anchor_of(pair, Modality.VISION)
        return ImageSample(picture_view(np.asarray(whole.data), views, pair.key, number))

    return _embed_split(tower, shards, split, progress, version, views)


def _embed_split(
    tower: AnchorTower,
    shards: PairShards,
    split: str,
    progress: Progress,
    sample: Callable[[Pair, int], Sample],
    views: Views | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Anchors (N, V, D) of the samples that `sample` makes of each pair, and which are usable (N, V)."""
    what, versions = ("anchors", 1) if views is None else ("versions", views.count)
    parts = shards.parts(split)
    found = []
    for number, (digest, count) in enumerate(parts):
        path = cache_root() / "anchors" / f"{tower.key(digest, views)}.safetensors"
        made = _read(path, (count, versions, tower.space.dim))
        if made is None:
            pairs = shards.read(split, rank=number, world=len(parts))
            title = f"{what} of {split}, shard {number + 1} of {len(parts)}"
            made = _embed(tower, progress(pairs, title, count), (count, versions), sample)
            _write(path, *made)
        found.append(made)
    return np.concatenate([anchors for anchors, _ in found]), np.concatenate([usable for _, usable in found])


def _embed(
    tower: AnchorTower,
    pairs: Iterable[Pair],
    shape: tuple[int, int],
    sample: Callable[[Pair, int], Sample],
) -> tuple[np.ndarray, np.ndarray]:
    anchors, usable = np.zeros((*shape, tower.space.dim), np.float32), np.zeros(shape, bool)
    samples = (
        ((place, version), sample(pair, version))
        for place, pair in enumerate(pairs)
        for version in range(shape[1])
    )
    while batch := list(islice(samples, _BATCH)):
        for (place, _), vector in zip(batch, tower.embed([one for _, one in batch])):
            if vector is not None:
                anchors[place], usable[place] = vector, True
    return anchors, usable


def _write(path: Path, anchors: np.ndarray, usable: np.ndarray) -> None:
    try:
        tensors = {"anchors": anchors, "usable": usable}
        write_atomically(path, lambda temporary: save_file(tensors, temporary))
    except ModelFileError as error:
        logger.warning("anchors are not cached: %s", error)


def _read(path: Path, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        tensors = load_file(path)
        anchors, usable = tensors["anchors"], tensors["usable"]
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, KeyError) as error:
        logger.warning("ignoring damaged cached anchors %s: %s", path, error)
        return None
    if anchors.shape != shape or anchors.dtype != np.float32 or usable.shape != shape[:2]:
        logger.warning("ignoring damaged cached anchors %s", path)
        return None
    return anchors, usable.astype(bool)


def _card(anchor: Anchor) -> str:
    """Hash of the model's card, which holds the hashes of its files; spaces of other weights name them themselves."""
    from imagebind_node.encoders.concept.weights import model_dir

    folder = Path(anchor.checkpoint) if anchor.checkpoint else None
    try:
        card = (folder if folder is not None and folder.is_dir() else model_dir(anchor.model)) / "card.yaml"
        return hashlib.sha256(card.read_bytes()).hexdigest()
    except (OSError, ModelFileError):
        return ""
