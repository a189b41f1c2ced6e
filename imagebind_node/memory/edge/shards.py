"""The open shards of a memory folder and their life: growing, sealed, indexed, dropped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.disk_space import ROOM_TO_ADD, require_room
from imagebind_node.memory.edge.indexer import Indexer
from imagebind_node.memory.edge.manifest import (
    FolderLock,
    Manifest,
    ShardEntry,
    read_manifest,
    sync_folder,
    write_manifest,
)
from imagebind_node.memory.edge.resident_memory import MappedPages, trim_heap
from imagebind_node.memory.edge.shard import Shard, create_shard


class Shards:
    """Opens the folder (or makes it) and keeps its manifest true.

    Two locks, always taken in this order: `write` for everything that changes data, `lock` for every call into an
    open shard. A search takes only the second, so it waits for one chunk of a write at most.
    """

    def __init__(self, folder: Path, space: Space, write: threading.RLock, *, index: bool) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self._write = write
        self._open: dict[str, Shard] = {}
        self._failed: set[str] = set()
        self._closed = False
        try:
            (folder / "shards").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInputError(f"cannot make the memory folder {folder}: {error.strerror}") from error
        require_room(folder, ROOM_TO_ADD)
        self._pages = MappedPages(folder)
        self._folder_lock = FolderLock(folder)
        try:
            self._manifest = self._load_manifest(space)
            self._remove_leftovers()
            if not self._manifest.shards:
                self._grow()
            for entry in self._manifest.shards:
                if entry.name not in self._open:
                    self._open[entry.name] = Shard(folder / "shards" / entry.name)
            self._pages.trim()
        except BaseException:
            self._folder_lock.release()
            raise
        self._indexer = (
            Indexer(folder / "shards", self._next_job, self._copy, self._exchange, self._failed.add)
            if index
            else None
        )
        if self._indexer is not None:
            self._indexer.wake()

    def _load_manifest(self, space: Space) -> Manifest:
        manifest = read_manifest(self.folder)
        if manifest is None:
            if any((self.folder / "shards").glob("*/segments")):
                raise InvalidInputError(f"memory {self.folder} has shards but no memory.json: restore it")
            return Manifest(space)
        manifest.space.require_same(space)
        return manifest

    def _remove_leftovers(self) -> None:
        listed = {entry.name for entry in self._manifest.shards}
        for path in (self.folder / "shards").iterdir():
            if path.name not in listed:
                shutil.rmtree(path)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Around every use of open shards: holds `lock`; raises InvalidInputError after `close`.

        What the shards have touched of their mapped files does not stay resident for long.
        """
        with self.lock:
            if self._closed:
                raise InvalidInputError(f"memory {self.folder} is closed: open it again")
            yield
            self._pages.trim()

    @property
    def active(self) -> Shard:
        """The shard that grows."""
        return self._open[self._manifest.shards[-1].name]

    def pairs(self) -> Iterator[tuple[ShardEntry, Shard]]:
        """Shards from the oldest to the growing one, with what the manifest says about them."""
        for entry in self._manifest.shards:
            yield entry, self._open[entry.name]

    def by_key(self, key: str) -> Shard | None:
        """The shard of that key, also after it was exchanged for its indexed copy; None if it was dropped."""
        return next((shard for entry, shard in self.pairs() if entry.key == key), None)

    def _new_shard(self) -> tuple[Manifest, Shard]:
        manifest, name = self._manifest.new_name()
        path = self.folder / "shards" / name
        create_shard(path, self._manifest.space)
        sync_folder(path.parent)
        return replace(manifest, shards=(*manifest.shards, ShardEntry(name, name))), Shard(path)

    def _grow(self) -> None:
        manifest, shard = self._new_shard()
        self._save(manifest)
        self._open[shard.path.name] = shard

    def seal(self) -> None:
        """End the growth of the active shard, open a new one and have the old one indexed."""
        with self._write:
            # Making a shard takes a while: searches go on meanwhile.
            manifest, fresh = self._new_shard()
            with self.lock:
                self.active.flush()
                first_stamp, last_stamp = self.active.span()
                *others, last, new = manifest.shards
                sealed = replace(last, sealed=True, first=first_stamp, last=last_stamp)
                self._open[fresh.path.name] = fresh
                self._save(replace(manifest, shards=(*others, sealed, new)))
        if self._indexer is not None:
            self._indexer.wake()

    def drop(self, shard: Shard) -> None:
        """Delete a sealed shard with all that it holds."""
        with self._write, self.lock:
            name = shard.path.name
            self._save(
                replace(self._manifest, shards=tuple(e for e in self._manifest.shards if e.name != name))
            )
            self._open.pop(name).close()
            shutil.rmtree(shard.path)

    def disk_bytes(self) -> int:
        """What the open shards take on the disk; a copy that is being indexed does not count."""
        with self.lock:
            files = (
                path for shard in self._open.values() for path in shard.path.rglob("*") if path.is_file()
            )
            return sum(path.stat().st_blocks * 512 for path in files)

    def _save(self, manifest: Manifest) -> None:
        write_manifest(self.folder, manifest)
        self._manifest = manifest

    def _next_job(self) -> str | None:
        with self.lock:
            for entry in self._manifest.shards:
                if entry.sealed and not entry.indexed and entry.name not in self._failed:
                    return entry.name
        return None

    def _copy(self, name: str, source: Path, target: Path) -> None:
        create_shard(target, self._manifest.space, log=False)
        with self._write:
            with self.lock:
                shard = self._open.get(name)
                if shard is None:
                    return
                shard.flush()
                shard.journal = []
            shutil.copytree(shard.path, source)

    def _exchange(self, name: str, built: Path) -> None:
        with self._write, self.lock:
            old = self._open.get(name)
            if old is None or self._closed:
                return
            manifest, fresh = self._manifest.new_name()
            path = built.rename(self.folder / "shards" / fresh)
            sync_folder(path.parent)
            shard = Shard(path)
            for operation in old.journal or ():
                shard.apply(operation, 1)
            shard.flush()
            shard.count = old.count
            self._open[fresh] = shard
            self._save(
                replace(
                    manifest,
                    shards=tuple(
                        replace(e, name=fresh, indexed=True) if e.name == name else e for e in manifest.shards
                    ),
                )
            )
            self._open.pop(name).close()
        shutil.rmtree(old.path)
        trim_heap()

    def wait_indexed(self, timeout: float | None) -> bool:
        """Wait for the indexer to run dry."""
        return self._indexer is None or self._indexer.wait(timeout)

    def close(self) -> None:
        """Stop indexing, flush, close, unlock."""
        if self._closed:
            return
        if self._indexer is not None:
            self._indexer.close()
        with self._write, self.lock:
            if not self._closed:
                self._closed = True
                for shard in self._open.values():
                    shard.close()
                self._folder_lock.release()
        trim_heap()
