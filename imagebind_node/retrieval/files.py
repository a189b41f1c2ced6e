"""Which files and bags lie under the given paths."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.file_type import kind_of

KINDS = ("image", "video", "audio", "imu")
BAG_SUFFIXES = (".mcap", ".db3", ".bag")


@dataclass(frozen=True)
class Source:
    """One file or bag. kind: image, video, audio, imu or bag; size in bytes and mtime in ns tell if it changed."""

    path: str
    kind: str
    size: int
    mtime: int


def find_sources(paths: Iterable[str | Path]) -> tuple[list[Source], list[tuple[str, str]]]:
    """(sources in order of their path, [(path, reason)] of what was left out).

    Folders are searched to the bottom, hidden files and links to folders are not followed. A rosbag2 folder (with
    metadata.yaml) is one source. Raises InvalidInputError for a path that does not exist.
    """
    found: dict[str, Source] = {}
    refused: list[tuple[str, str]] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InvalidInputError(f"{path} does not exist: give a file, a folder or a rosbag2")
        for candidate in _walk(path):
            try:
                source = _describe(candidate)
            except (OSError, InvalidInputError) as error:
                refused.append((str(candidate), " ".join(str(error).split())))
                continue
            if source is None:
                refused.append((str(candidate), "neither picture, video, sound, IMU table nor bag"))
            else:
                found[source.path] = source
    return [found[key] for key in sorted(found)], sorted(refused)


def _walk(path: Path) -> Iterable[Path]:
    if path.is_file() or (path / "metadata.yaml").is_file():
        yield path
        return
    for folder, names, files in os.walk(path):
        bags = [name for name in names if (Path(folder) / name / "metadata.yaml").is_file()]
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in bags)
        yield from (Path(folder) / name for name in sorted(bags))
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("."))


def _describe(path: Path) -> Source | None:
    if path.is_dir():
        parts = [p.stat() for p in path.iterdir() if p.is_file()]
        size, mtime = sum(s.st_size for s in parts), max(s.st_mtime_ns for s in parts)
        return Source(str(path.resolve()), "bag", size, mtime)
    status = path.stat()
    kind = "bag" if path.suffix.lower() in BAG_SUFFIXES else kind_of(path)
    if kind != "bag" and kind not in KINDS:
        return None
    return Source(str(path.resolve()), kind, status.st_size, status.st_mtime_ns)
