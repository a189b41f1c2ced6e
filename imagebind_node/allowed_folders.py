"""Which files a parameter may name: what lies in folders that were chosen when the node was started."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import one_line, shown

# Sources over the network. Others that FFmpeg and pyserial know (file:, concat:, subfile:, spy://) open local files.
NETWORK_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtp", "srt", "tcp", "udp", "socket", "rfc2217")
_ADDRESS = re.compile(rf"(?:{'|'.join(NETWORK_SCHEMES)})://[^/]", re.IGNORECASE)


def is_local(source: str) -> bool:
    """False for what names no file: a device number, or an address on the network."""
    return not (source.strip().isdecimal() or _ADDRESS.match(source.strip()))


def resolve(path: str) -> Path:
    """Absolute path with `~`, `..` and symbolic links resolved, of something that need not exist.

    Raises InvalidInputError for what cannot be a path.
    """
    try:
        return Path(path).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{shown(path)} is not a usable path: {one_line(error)}") from None


@dataclass(frozen=True)
class AllowedFolders:
    """Folders (or single files) that may be used, as `resolve` gives them.

    purpose: "read" or "write", for messages. mend: what the operator can do to allow more.
    """

    purpose: str
    folders: tuple[Path, ...]
    mend: str

    @classmethod
    def of(cls, purpose: str, paths: Sequence[str], mend: str) -> AllowedFolders:
        """Raises InvalidInputError for what cannot be a path."""
        return cls(purpose, tuple(dict.fromkeys(resolve(path) for path in paths)), mend)

    def require(self, path: str) -> Path:
        """`path` resolved. Raises InvalidInputError naming the folders unless it lies in one of them."""
        wanted = resolve(path)
        if any(wanted.is_relative_to(folder) for folder in self.folders):
            return wanted
        listed = ", ".join(map(shown, self.folders)) or "none"
        raise InvalidInputError(
            f"{shown(wanted)} is outside the folders to {self.purpose} ({listed}): {self.mend}"
        )
