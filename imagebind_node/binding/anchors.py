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
from imagebind_node.binding.shards import Pair
from imagebind_node.embedding import Space
from imagebind_node.encoders.base import Encoder, load_encoder
from imagebind_node.errors import ModelFileError
from imagebind_node.model_store import cache_root, write_atomically
from imagebind_node.samples import Modality, parse_modality

logger = logging.getLogger(__name__)


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
    tower: AnchorTower,
    data: str,
    pairs: Callable[[], Iterable[Pair]],
    count: int,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> tuple[np.ndarray, np.ndarray]:
    """Anchors float32 (count, D) and which of them are usable, bool (count,); from the cache if they are there.

    data: hash of the pairs. pairs: makes an iterator over them, called only if there is something to embed.
    """
    path = cache_root() / "anchors" / f"{tower.key(data)}.safetensors"
    cached = _read(path, count, tower.space.dim)
    if cached is not None:
        logger.info("anchors are cached in %s", path)
        return cached
    anchors, usable = np.zeros((count, tower.space.dim), np.float32), np.zeros(count, bool)
    for place, pair in enumerate(progress(pairs())):
        vector = tower.embed(pair)
        if vector is not None:
            anchors[place], usable[place] = vector, True
    try:
        tensors = {"anchors": anchors, "usable": usable}
        write_atomically(path, lambda temporary: save_file(tensors, temporary))
    except ModelFileError as error:
        logger.warning("anchors are not cached: %s", error)
    return anchors, usable


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
