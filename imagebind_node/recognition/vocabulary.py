"""Description by nearest texts: a caption for a moment of any modality, chosen from a vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.arrays import load_npy
from imagebind_node.formats.bounded import DECODER_ERRORS
from imagebind_node.recognition.zero_shot import TextEncoder

MAX_TEXTS = 1_000_000


class Vocabulary:
    """Texts with unit rows float32 (N, dim) of one space."""

    def __init__(self, texts: Sequence[str], rows: np.ndarray, space: Space) -> None:
        if rows.shape != (len(texts), space.dim) or len(texts) == 0:
            raise InvalidInputError(f"vocabulary of {len(texts)} texts has rows {rows.shape}")
        self.texts, self.space, self._rows = tuple(texts), space, rows.astype(np.float32)

    @classmethod
    def encode(
        cls, texts: Sequence[str], space: Space, encode_text: TextEncoder, cache: str | Path | None = None
    ) -> Vocabulary:
        """Embed texts; with `cache`, a folder, rows are kept there and found again by the texts and the space."""
        texts = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
        if not 1 <= len(texts) <= MAX_TEXTS:
            raise InvalidInputError(f"a vocabulary has 1 to {MAX_TEXTS} texts, got {len(texts)}")
        key = hashlib.sha256("\n".join([space.id, *texts]).encode()).hexdigest()[:32]
        path = None if cache is None else Path(cache) / f"vocabulary-{key}.npy"
        rows = None if path is None else _kept(path, (len(texts), space.dim))
        if rows is not None:
            return cls(texts, rows, space)
        rows = encode_text(texts)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                np.save(file, rows.astype(np.float32))
        return cls(texts, rows, space)

    def describe(self, embedding: Embedding, top: int = 5) -> list[tuple[str, float]]:
        """(text, cosine) pairs, best first; empty if the embedding has no vector."""
        self.space.require_same(embedding.space)
        if embedding.vector.size == 0:
            return []
        return self.nearest(embedding.vector, top)

    def nearest(self, vector: np.ndarray, top: int = 5) -> list[tuple[str, float]]:
        """(text, cosine) pairs for a unit vector, best first."""
        cosines = self._rows @ np.asarray(vector, np.float32)
        best = np.argsort(-cosines, kind="stable")[:top]
        return [(self.texts[i], float(cosines[i])) for i in best]


def _kept(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Rows kept in an earlier run; None if there are none, or no such rows: they are then made again."""
    try:
        rows = load_npy(path.read_bytes())
    except DECODER_ERRORS:
        return None
    return rows if rows.shape == shape and rows.dtype == np.float32 and np.isfinite(rows).all() else None


def read_texts(path: str | Path) -> list[str]:
    """Texts of a vocabulary file, one a line; lines that start with # are left out."""
    from imagebind_node.files import read_text

    lines = [line.strip() for line in read_text(path).data.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
