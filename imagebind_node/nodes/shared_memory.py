"""Shared memory that killed processes have left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

# A segment and its lock are made one after the other: what is younger may still be without its owner's lock.
_SETTLED_SECONDS = 10.0
# Fast DDS, and its older name.
_LOCKS = ("fastdds_*_el", "fastrtps_*_el")


def remove_dead_segments(folder: Path = Path("/dev/shm")) -> int:
    """Delete the Fast DDS segments in `folder` whose owner has ended; returns how many.

    A process that ends by SIGKILL leaves its segment, 33 MiB of memory with our transport profile, until the machine
    is started again. Its owner holds a file lock as long as it lives, so one that can be locked is nobody's. Files
    of other users and the ports that processes share (`fastdds_port*`) are left alone.
    """
    removed = 0
    for lock in [path for pattern in _LOCKS for path in folder.glob(pattern)]:
        if "port" in lock.name:
            continue
        with contextlib.suppress(OSError), lock.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _SETTLED_SECONDS:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink()
            removed += 1
    return removed
