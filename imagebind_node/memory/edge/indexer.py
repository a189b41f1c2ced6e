"""The thread that has sealed shards indexed, one after the other."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)
BUILDING = ".building-"
# Run as a file: it needs none of this package, which may be importable in this process only.
CHILD = Path(__file__).with_name("index_shard.py")


class Indexer:
    """Runs a child process between `copy` and `exchange` of the store.

    next_job() gives the name of a shard to index or None; copy(name, source, target) puts a copy of it at
    `source` and an empty shard at `target`; exchange(name, target) swaps the indexed shard in. A shard
    whose indexing failed stays searchable by scan and is tried again at the next start.
    """

    def __init__(
        self,
        folder: Path,
        next_job: Callable[[], str | None],
        copy: Callable[[str, Path, Path], None],
        exchange: Callable[[str, Path], None],
        give_up: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._next_job, self._copy, self._exchange, self._give_up = next_job, copy, exchange, give_up
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="memory-indexer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something to index."""
        self._idle.clear()
        self._wake.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to index; False on timeout (seconds)."""
        return self._idle.wait(timeout)

    def close(self) -> None:
        """Stop, abandoning a build that is under way."""
        with self._guard:
            self._stopping = True
            if self._child is not None:
                self._child.kill()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            while not self._stopping and (name := self._next_job()) is not None:
                self._index(name)
            if not self._wake.is_set():
                self._idle.set()

    def _index(self, name: str) -> None:
        built = self._folder / f"{name}{BUILDING}{uuid.uuid4().hex[:8]}"
        source, target = built / "source", built / "indexed"
        try:
            self._copy(name, source, target)
            with self._guard:
                if self._stopping:
                    return
                self._child = subprocess.Popen(
                    [sys.executable, str(CHILD), str(source), str(target)],
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            _, errors = self._child.communicate()
            if self._stopping:
                return
            if self._child.returncode != 0:
                tail = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                log.error("indexing of memory shard %s failed (%s): it is scanned instead", name, tail[0])
                self._give_up(name)
                return
            self._exchange(name, target)
        except OSError as error:
            log.error("indexing of memory shard %s failed (%s): it is scanned instead", name, error)
            self._give_up(name)
        finally:
            self._child = None
            shutil.rmtree(built, ignore_errors=True)
