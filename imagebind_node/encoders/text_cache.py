"""Text embeddings kept on disk, so that the text tower need not be loaded for words that were encoded before."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Space
from imagebind_node.errors import ModelFileError
from imagebind_node.model_store import cache_root, write_atomically

logger = logging.getLogger(__name__)
_NORM_TOLERANCE = 1e-3


class TextCache:
    """One small file for each (space, text): a float32 unit vector in numpy's .npy format.

    Any number of processes may use the same folder: files appear whole or not at all. A damaged file counts as
    absent. A folder that cannot be written is reported once and then only read.
    """

    def __init__(self, space: Space, folder: Path | None = None) -> None:
        self.space = space
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", space.id).lstrip(".") or "space"
        self.folder = (folder or cache_root() / "text") / f"{safe}-{space.dim}"
        self._writable = True

    def path(self, text: str) -> Path:
        """Where the vector of `text` is kept."""
        key = hashlib.sha256(f"{self.space.id}\0{self.space.dim}\0{text}".encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.npy"

    def get(self, text: str) -> np.ndarray | None:
        """The unit vector float32 (dim,) of `text`, or None."""
        path = self.path(text)
        try:
            with path.open("rb") as file:
                vector = np.lib.format.read_array(file, allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as error:
            logger.warning("ignoring damaged cached text embedding %s: %s", path, error)
            return None
        good = vector.dtype == np.float32 and vector.shape == (self.space.dim,)
        if not good or not abs(float(np.linalg.norm(vector)) - 1.0) < _NORM_TOLERANCE:
            logger.warning("ignoring damaged cached text embedding %s: not a unit vector", path)
            return None
        return vector

    def put(self, text: str, vector: np.ndarray) -> None:
        """Keep the unit vector of `text`."""
        if not self._writable:
            return
        ready = np.ascontiguousarray(vector, dtype=np.float32)
        try:
            write_atomically(self.path(text), lambda temporary: _save(temporary, ready))
        except ModelFileError as error:
            self._writable = False
            logger.warning("text embeddings are not kept: %s", error)


def _save(path: Path, vector: np.ndarray) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, vector, allow_pickle=False)
