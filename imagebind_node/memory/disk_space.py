"""Room on the disk of a memory, asked for before it is needed."""

from __future__ import annotations

import os
from pathlib import Path

from imagebind_node.errors import DiskFullError

# The database writes through memory maps of files with holes: where the disk has no room for a page the kernel ends
# the process by SIGBUS, which no program can handle. So a good deal more is kept free than a batch takes.
ROOM_TO_ADD = 64 * 1024**2
# Forgetting makes room, and itself takes little.
ROOM_TO_FORGET = 16 * 1024**2


def require_room(folder: Path, least: int) -> None:
    """Raise DiskFullError if the file system of `folder` has less than `least` bytes free for this user."""
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if free < least:
        raise DiskFullError(
            f"the disk of {folder} is full: {free // 1024**2} MiB free, {least // 1024**2} are needed; make room there"
        )
