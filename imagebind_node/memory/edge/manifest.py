"""The list of shards of one memory on disk: replaced as a whole, so that a crash leaves the old one or the new one."""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.filters import MemoryFilter

VERSION = 1
_NAME = re.compile(r"[0-9]{6,12}")
FILE = "memory.json"


@dataclass(frozen=True)
class ShardEntry:
    """name: folder, new after indexing; key: the shard's name for ever; sealed: takes no new moments; indexed: has its
    graph; first, last: stamps (of a sealed shard)."""

    name: str
    key: str
    sealed: bool = False
    indexed: bool = False
    first: int = 0
    last: int = 0

    def may_hold(self, stamp: int) -> bool:
        """False if no moment of `stamp` can be in it."""
        return not self.sealed or self.first <= stamp <= self.last

    def may_match(self, where: MemoryFilter) -> bool:
        """False if it lies outside the time range of `where`."""
        return not self.sealed or where.overlaps(self.first, self.last)


@dataclass(frozen=True)
class Manifest:
    """space of the vectors, next free shard number, shards from the oldest to the one that grows."""

    space: Space
    next_number: int = 1
    shards: tuple[ShardEntry, ...] = field(default=())

    def new_name(self) -> tuple[Manifest, str]:
        """Reserve a folder name that was never used before."""
        return replace(self, next_number=self.next_number + 1), f"{self.next_number:06d}"


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a memory folder, None if there is none. Raises InvalidInputError if it is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text())
        if document["version"] != VERSION:
            raise InvalidInputError(
                f"memory {folder} has format version {document['version']}, this program reads {VERSION}"
            )
        shards = tuple(ShardEntry(**entry) for entry in document["shards"])
        for shard in shards:
            # Folders of shards are made, replaced and deleted by these names.
            if not _NAME.fullmatch(shard.name):
                raise InvalidInputError(f"{path} is damaged: {shard.name!r} is no shard")
        return Manifest(Space(**document["space"]), int(document["next_number"]), shards)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{path} is damaged ({error}): restore it or move the folder away") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically and durably (write, fsync, rename, fsync of the folder)."""
    temporary = folder / (FILE + ".new")
    with open(temporary, "w") as file:
        json.dump({"version": VERSION, **asdict(manifest)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / FILE)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make renames and new files inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderLock:
    """At most one process has a memory open; the lock goes away with the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        # Open as long as the lock is held: closing the file is what releases it.
        self._file = open(folder / "lock", "a+")  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise InvalidInputError(
                f"memory {folder} is open in another process (pid {owner}): ask that node's ~/search service, "
                "or end it first"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let others open the folder."""
        self._file.close()
