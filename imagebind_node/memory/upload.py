"""Carry a robot's memory to the fleet's: resumable, and harmless to repeat because ids are deterministic."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.edge.store import EdgeStore
from imagebind_node.memory.store import MemoryStore

PROGRESS_FILE = "upload.json"


@dataclass(frozen=True)
class UploadReport:
    """sent: moments written by this call; skipped_shards: shards that an earlier call had finished."""

    sent: int
    skipped_shards: int


def upload(
    source: EdgeStore,
    target: MemoryStore,
    target_name: str,
    *,
    batch: int = 500,
    progress: Callable[[int], None] | None = None,
) -> UploadReport:
    """Copy every moment of `source` to `target`; call again after a failure or later for what is new.

    What was sent is written down in the memory's folder after each acknowledged batch, under `target_name` (a URL).
    Sealed shards are sent once; moments that are deleted later on the robot stay at the target. `progress` is called
    with the number of moments of each batch.
    """
    source.space.require_same(target.space)
    record = _Progress(source.folder / PROGRESS_FILE, target_name)
    sent = skipped = 0
    for key, sealed in source.shard_keys():
        if sealed and key in record.done:
            skipped += 1
            continue
        offset = record.offset if record.current == key and sealed else None
        while True:
            page = source.page(key, batch, offset)
            if page is None:
                break
            hits, offset = page
            if hits:
                target.add(
                    [h.moment for h in hits], np.stack([h.vector for h in hits if h.vector is not None])
                )
                sent += len(hits)
                if progress is not None:
                    progress(len(hits))
            if offset is None:
                break
            record.at(key, offset)
        if sealed:
            record.finish(key)
    return UploadReport(sent, skipped)


class _Progress:
    def __init__(self, path: Path, target: str) -> None:
        self._path, self._target = path, target
        self._all: dict[str, dict] = {}
        if path.exists():
            try:
                self._all = json.loads(path.read_text())
            except json.JSONDecodeError as error:
                raise InvalidInputError(
                    f"{path} is damaged ({error}): delete it to upload from the start"
                ) from error
        mine = self._all.get(target, {})
        self.done: list[str] = list(mine.get("done", []))
        self.current: str = mine.get("current", "")
        self.offset: str | None = mine.get("offset")

    def at(self, key: str, offset: str) -> None:
        self.current, self.offset = key, offset
        self._write()

    def finish(self, key: str) -> None:
        self.done.append(key)
        self.current, self.offset = "", None
        self._write()

    def _write(self) -> None:
        self._all[self._target] = {"done": self.done, "current": self.current, "offset": self.offset}
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(self._all))
        os.replace(temporary, self._path)
