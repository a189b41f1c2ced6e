"""Hand memory back to the kernel that is no longer needed: touched pages of mapped files, and freed heap."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import mmap
from pathlib import Path

log = logging.getLogger(__name__)
# Each touched page brings fifteen neighbours with it (fault-around), so a long history adds up within minutes.
LIMIT_BYTES = 192 * 1024**2
_MADV_DONTNEED = 4


class MappedPages:
    """Keeps the mapped pages of the files below `folder` in the resident memory to about `limit` bytes.

    The kernel would take them back itself, but only when the whole machine is short of memory, and until then they
    count as this process's. They stay in the page cache: touching one again costs about a microsecond. Does
    nothing where there is no /proc (other systems than Linux).
    """

    def __init__(self, folder: Path, limit: int = LIMIT_BYTES) -> None:
        self._prefix = f"{folder.resolve()}/"
        self._limit = limit
        self._able = Path("/proc/self/maps").is_file()
        self._floor = self._resident() if self._able else 0

    @staticmethod
    def _resident() -> int:
        """Bytes of mapped files of the whole process; those of its libraries hardly change."""
        return int(Path("/proc/self/statm").read_text().split()[2]) * mmap.PAGESIZE

    def trim(self) -> bool:
        """Hand the pages back if more than `limit` bytes were touched since the last time; True if it did.

        No file below the folder may be unmapped meanwhile: hold the lock that guards the open shards.
        """
        if not self._able or self._resident() - self._floor < self._limit:
            return False
        madvise = ctypes.CDLL(None, use_errno=True).madvise
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, access, _, _, _, *path = line.split(maxsplit=5)
            # A private mapping may hold changes that are in no file; a shared one never does.
            if access.endswith("s") and path and path[0].startswith(self._prefix):
                start, end = (int(address, 16) for address in span.split("-"))
                if madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED) != 0:
                    log.debug("pages of %s stay resident: errno %d", path[0], ctypes.get_errno())
        self._floor = self._resident()
        return True


def trim_heap() -> None:
    """Hand back the heap that closed shards have freed; glibc would keep most of it for later (others do not)."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
