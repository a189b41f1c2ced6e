"""Description by nearest texts: a caption for a moment of any modality, chosen from a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.arrays import ARRAY_BYTES, load_npz
from imagebind_node.formats.bounded import DECODER_ERRORS, read_bytes
from imagebind_node.recognition.zero_shot import TextEncoder

MAX_TEXTS = 1_000_000
FILE = "vocabulary.npz"


class Vocabulary:
    """Texts with unit rows float32 (N, dim) of one space."""

    def __init__(self, texts: Sequence[str], rows: np.ndarray, space: Space) -> None:
        if rows.shape != (len(texts), space.dim) or len(texts) == 0:
            raise InvalidInputError(f"vocabulary of {len(texts)} texts has rows {rows.shape}")
        self.texts, self.space, self._rows = tuple(texts), space, rows.astype(np.float32)

    @classmethod
    def encode(cls, texts: Iterable[str], space: Space, encode_text: TextEncoder) -> Vocabulary:
        """Embed texts; blank ones and repeats are left out."""
        texts = unique_texts(texts)
        return cls(texts, encode_text(texts), space)

    def save(self, path: Path) -> None:
        """Write texts, float16 rows and space to an .npz file, for `load`. Raises ModelFileError if that fails."""
        from imagebind_node.model_store import write_atomically

        texts = np.frombuffer("\n".join(self.texts).encode(), np.uint8)
        rows, space = self._rows.astype(np.float16), np.array(self.space.id)

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as file:
                np.savez(file, texts=texts, rows=rows, space=space)

        write_atomically(path, write)

    @classmethod
    def load(cls, path: Path, texts: Iterable[str], space: Space) -> Vocabulary | None:
        """What `save` wrote if it is of just these texts and this space; None if not, or if there is no such file."""
        texts = unique_texts(texts)
        try:
            file = load_npz(read_bytes(path, ARRAY_BYTES))
            same = bytes(file["texts"]).decode() == "\n".join(texts) and str(file["space"]) == space.id
            rows = np.asarray(file["rows"], np.float32)
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            return cls(texts, rows / norms, space) if same and np.abs(norms - 1).max() < 1e-2 else None
        except (*DECODER_ERRORS, InvalidInputError):
            return None

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


class GrowingVocabulary:
    """A vocabulary that is embedded a few texts at a time, so that other work comes in between."""

    PIECE = 8

    def __init__(self, texts: Iterable[str], space: Space, encode_text: TextEncoder) -> None:
        self._texts, self._space, self._encode_text = unique_texts(texts), space, encode_text
        self._rows: list[np.ndarray] = []

    def grow(self) -> Vocabulary | None:
        """Embed the next texts; the whole vocabulary once they were the last."""
        start = self.PIECE * len(self._rows)
        self._rows.append(self._encode_text(self._texts[start : start + self.PIECE]))
        if start + self.PIECE < len(self._texts):
            return None
        return Vocabulary(self._texts, np.concatenate(self._rows), self._space)


def unique_texts(texts: Iterable[str]) -> list[str]:
    """Without blank ones and repeats, spaces and line breaks within each as single spaces.

    Raises InvalidInputError unless 1 to MAX_TEXTS are left.
    """
    found = list(dict.fromkeys(joined for text in texts if (joined := " ".join(text.split()))))
    if not 1 <= len(found) <= MAX_TEXTS:
        raise InvalidInputError(f"a vocabulary has 1 to {MAX_TEXTS} texts, got {len(found)}")
    return found


def read_texts(path: str | Path) -> list[str]:
    """Texts of a vocabulary file, one a line; lines that start with # are left out."""
    from imagebind_node.files import read_text

    lines = [line.strip() for line in read_text(path).data.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
