"""The index job: resumable, with a report of what could not be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.memory.store import MemoryStore
from imagebind_node.retrieval.encode import DEFAULTS, Encoded, IndexOptions
from imagebind_node.retrieval.files import Source

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

JOURNAL = "indexed.jsonl"
Result = tuple[Source, Encoded | ImagebindNodeError]
Worker = Callable[[Sequence[Source]], Iterable[Result]]
"""Encodes sources, in any order, here or elsewhere."""


@dataclass
class IndexReport:
    """moments stored, sources done now, sources skipped since they were done before, abstained pieces, and
    [(path, reason)] of sources that could not be read."""

    moments: int = 0
    sources: int = 0
    skipped: int = 0
    abstained: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def local_worker(encoder: Encoder, options: IndexOptions = DEFAULTS) -> Worker:
    """Encode one source after the other in this process."""
    from imagebind_node.retrieval.encode import encode_source

    def work(sources: Sequence[Source]) -> Iterator[Result]:
        for source in sources:
            try:
                yield source, encode_source(source, encoder, options)
            except ImagebindNodeError as error:
                yield source, error

    return work


def index_sources(
    sources: Sequence[Source],
    store: MemoryStore,
    work: Worker,
    *,
    journal: str | Path | None = None,
    progress: Callable[[Source], None] | None = None,
) -> IndexReport:
    """Encode sources with `work` and store what comes out.

    journal: file that lists finished sources; an unchanged one (path, size, time of change) is skipped. A source that
    was interrupted is done again, which is harmless since ids are deterministic. `progress` is called per source.
    """
    report = IndexReport()
    done = _Journal(None if journal is None else Path(journal), store.space.id)
    todo = [source for source in sources if not done.knows(source)]
    report.skipped = len(sources) - len(todo)
    for source, outcome in work(todo):
        if isinstance(outcome, ImagebindNodeError):
            reason = " ".join(str(outcome).split()).removeprefix(f"{source.path}: ")
            report.unreadable.append((source.path, reason))
        else:
            if outcome.moments:
                store.add(outcome.moments, outcome.vectors)
            report.moments += len(outcome.moments)
            report.abstained += outcome.abstained
            report.sources += 1
            done.add(source, len(outcome.moments))
        if progress is not None:
            progress(source)
    report.unreadable.sort()
    return report


class _Journal:
    def __init__(self, path: Path | None, space: str) -> None:
        self._path, self._space = path, space
        self._done: set[tuple[str, int, int]] = set()
        if path is None or not path.exists():
            return
        data = path.read_bytes()
        # A crash may cut the last line short; that source is then simply done again.
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            path.write_bytes(whole)
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                if entry["space"] == space:
                    self._done.add((entry["path"], entry["size"], entry["mtime"]))
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInputError(
                    f"{path} line {number} is damaged: delete the file to index everything again"
                ) from error

    def knows(self, source: Source) -> bool:
        return (source.path, source.size, source.mtime) in self._done

    def add(self, source: Source, moments: int) -> None:
        if self._path is None:
            return
        entry = {
            "path": source.path,
            "size": source.size,
            "mtime": source.mtime,
            "space": self._space,
            "moments": moments,
        }
        with open(self._path, "a") as file:
            file.write(json.dumps(entry) + "\n")
