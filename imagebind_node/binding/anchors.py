"""Frozen embeddings of pairs, kept on disk: a tower and the data that it saw decide them, so they are made once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from imagebind_node.binding.recipe import Anchor
from imagebind_node.binding.senses import anchor_of
from imagebind_node.binding.shards import Pair, PairShards
from imagebind_node.embedding import Space
from imagebind_node.encoders.base import Encoder, load_encoder
from imagebind_node.errors import ModelFileError
from imagebind_node.model_store import cache_root, write_atomically
from imagebind_node.samples import Modality, parse_modality

logger = logging.getLogger(__name__)
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

    def embed(self, pair: Pair) -> np.ndarray | None:
        """Unit vector, float32 (D,), or None if the encoder abstained (a black picture, silence)."""
        if self._encoder is None:
            self._encoder = self._load([self.modality])
        (found,) = self._encoder.encode(self.modality, [anchor_of(pair, self.modality)])
        return None if found.abstained or not found.vector.size else found.vector

    def key(self, data: str) -> str:
        """Name of the cached anchors of the pairs whose hash is `data`."""
        from imagebind_node import __version__

        facts = [__version__, self._anchor.model, _card(self._anchor), self.space.id, self.space.dim, data]
        return hashlib.sha256(json.dumps([*facts, str(self.modality)]).encode()).hexdigest()


def embed_anchors(
    tower: AnchorTower, shards: PairShards, split: str, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Anchors float32 (N, D) of the pairs of a split, in their order, and which of them are usable, bool (N,).

    Each shard is cached by itself: an interrupted run loses one at most, and data that is added costs no more than
    itself.
    """
    parts = shards.parts(split)
    found = []
    for number, (digest, count) in enumerate(parts):
        path = cache_root() / "anchors" / f"{tower.key(digest)}.safetensors"
        made = _read(path, count, tower.space.dim)
        if made is None:
            pairs = shards.read(split, rank=number, world=len(parts))
            what = f"anchors of {split}, shard {number + 1} of {len(parts)}"
            made = _embed(tower, progress(pairs, what, count), count)
            _write(path, *made)
        found.append(made)
    return np.concatenate([anchors for anchors, _ in found]), np.concatenate([usable for _, usable in found])


def _embed(tower: AnchorTower, pairs: Iterable[Pair], count: int) -> tuple[np.ndarray, np.ndarray]:
    anchors, usable = np.zeros((count, tower.space.dim), np.float32), np.zeros(count, bool)
    for place, pair in enumerate(pairs):
        vector = tower.embed(pair)
        if vector is not None:
            anchors[place], usable[place] = vector, True
    return anchors, usable


def _write(path: Path, anchors: np.ndarray, usable: np.ndarray) -> None:
    try:
        tensors = {"anchors": anchors, "usable": usable}
        write_atomically(path, lambda temporary: save_file(tensors, temporary))
    except ModelFileError as error:
        logger.warning("anchors are not cached: %s", error)


def _read(path: Path, count: int, dim: int) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        tensors = load_file(path)
        anchors, usable = tensors["anchors"], tensors["usable"]
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, KeyError) as error:
        logger.warning("ignoring damaged cached anchors %s: %s", path, error)
        return None
    if anchors.shape != (count, dim) or anchors.dtype != np.float32 or usable.shape != (count,):
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
