"""Thumbnails that belong to memories: one JPEG file a moment, in a folder beside the database."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from imagebind_node.errors import InvalidInputError


class MediaFolder:
    """Files named after the moment's id under `folder`/media, two characters of the id a sub-folder."""

    def __init__(self, folder: str | Path, side: int = 160, quality: int = 80) -> None:
        if not 16 <= side <= 4096:
            raise InvalidInputError(f"the side of a thumbnail must be 16 to 4096 pixels, got {side}")
        self._folder = Path(folder)
        self._side, self._quality = side, quality
        self._size: int | None = None
        self._gate = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of all files together; they are counted once, when it is first asked for."""
        with self._gate:
            if self._size is None:
                self._size = sum(path.stat().st_size for path in self._folder.glob("media/*/*.jpg"))
            return self._size

    def _count(self, change: int) -> None:
        with self._gate:
            if self._size is not None:
                self._size += change

    def put(self, key: str, picture: np.ndarray) -> str:
        """Keep uint8 (H, W, 3) RGB scaled down to `side`; returns its reference, relative to the folder."""
        image = Image.fromarray(picture)
        image.thumbnail((self._side, self._side))
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=self._quality)
        reference = f"media/{key[:2]}/{key}.jpg"
        path = self._folder / reference
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_size if path.exists() else 0
        path.write_bytes(buffer.getvalue())
        self._count(buffer.tell() - before)
        return reference

    def read(self, reference: str) -> bytes | None:
        """JPEG bytes of a reference that `put` gave; None if it is not one or the file is gone."""
        path = self._inside(reference)
        return path.read_bytes() if path is not None and path.is_file() else None

    def discard(self, references: Iterable[str]) -> None:
        """Delete files; references to files that are not ours are left alone."""
        for reference in references:
            path = self._inside(reference)
            if path is not None and path.is_file():
                self._count(-path.stat().st_size)
                path.unlink(missing_ok=True)

    def _inside(self, reference: str) -> Path | None:
        # A payload may come from elsewhere (an upload, a shared server): never touch files outside our folder.
        path = (self._folder / reference).resolve()
        return path if reference and path.is_relative_to((self._folder / "media").resolve()) else None
