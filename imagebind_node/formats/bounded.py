"""Files are untrusted: look before opening, read a bounded number of bytes, name file and cause on failure."""

from __future__ import annotations

import re
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagebind_node.errors import InvalidInputError

MEBI = 1024 * 1024

# What Pillow, libsndfile, zipfile and numpy raise on damaged or hostile bytes.
DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    EOFError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    tokenize.TokenError,
)

_OBJECT = re.compile(r"<_?io\.[^>]*>")


def shown(path: str | Path) -> str:
    """The path as it may stand in a one-line message: quoted if it holds line breaks or other odd characters."""
    text = str(path)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 300 else text[:297] + "..."


def one_line(error: BaseException, limit: int = 160) -> str:
    """The error's message without line breaks, cut to `limit` characters; its type if it has none."""
    text = _OBJECT.sub("it", " ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def regular_file(path: str | Path, limit_bytes: int) -> Path:
    """Return `path` if it is a regular file of 1 to `limit_bytes` bytes (symbolic links are followed).

    Devices, pipes and folders are refused before they are opened, since opening a pipe can block for ever.
    Raises InvalidInputError.
    """
    path = Path(path)
    try:
        info = path.stat()
    except FileNotFoundError:
        dangling = path.is_symlink()
        cause = "is a link to a file that does not exist" if dangling else "no such file"
        raise InvalidInputError(f"{shown(path)}: {cause}: check the path") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{shown(path)}: cannot be looked at: {one_line(error)}") from error
    if stat.S_ISDIR(info.st_mode):
        raise InvalidInputError(f"{shown(path)}: is a folder: name a file in it")
    if not stat.S_ISREG(info.st_mode):
        raise InvalidInputError(f"{shown(path)}: is a device or pipe: name a regular file")
    if info.st_size == 0:
        raise InvalidInputError(f"{shown(path)}: is empty (0 bytes)")
    if info.st_size > limit_bytes:
        raise InvalidInputError(
            f"{shown(path)}: is too large ({info.st_size / MEBI:.0f} MiB, limit {limit_bytes / MEBI:.0f} MiB): "
            "cut or shrink it"
        )
    return path


def read_bytes(path: str | Path, limit_bytes: int) -> bytes:
    """Contents of a regular file of at most `limit_bytes` bytes; raises InvalidInputError."""
    path = regular_file(path, limit_bytes)
    try:
        with path.open("rb") as stream:
            data = stream.read(limit_bytes + 1)
    except OSError as error:
        raise InvalidInputError(f"{shown(path)}: cannot be read: {one_line(error)}") from error
    if not 0 < len(data) <= limit_bytes:
        # /proc files and files that grow lie about their size.
        raise InvalidInputError(f"{shown(path)}: is empty or larger than {limit_bytes / MEBI:.0f} MiB")
    return data


@contextmanager
def decoding(path: str | Path, what: str, hint: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one InvalidInputError: '<path>: not a readable <what> (...): <hint>'.

    InvalidInputError raised inside passes through, with the file's name put in front.
    """
    try:
        yield
    except InvalidInputError as error:
        message = str(error)
        named = message.startswith(f"{shown(path)}:")
        raise error if named else InvalidInputError(f"{shown(path)}: {message}") from None
    except DECODER_ERRORS as error:
        raise InvalidInputError(
            f"{shown(path)}: not a readable {what} ({one_line(error)}): {hint}"
        ) from error
