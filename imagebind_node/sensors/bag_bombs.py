"""Bounds on what the compressed chunks of a recording unpack to: a few kilobytes may claim all memory there is.

rosbags unpacks a chunk as a whole, of whatever size. Its tables of decompressors are filled with bounded ones here.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable
from functools import cache
from typing import Any

from imagebind_node.errors import InvalidInputError

CHUNK_BYTES = 512 * 1024**2
"""Recorders write chunks of about a megabyte, or of one message that is larger."""


@cache
def bound_chunks() -> None:
    """Have rosbags refuse chunks of more than CHUNK_BYTES."""
    from lz4.frame import LZ4FrameDecompressor
    from rosbags.rosbag1 import reader as ros1
    from rosbags.rosbag2 import storage_mcap as mcap

    mcap.DECOMPRESSORS["zstd"] = bounded(mcap.zstd.ZstdDecompressor)
    mcap.DECOMPRESSORS["lz4"] = bounded(LZ4FrameDecompressor)
    ros1.decompressors[ros1.Compression.BZ2.value] = bounded(bz2.BZ2Decompressor)
    ros1.decompressors[ros1.Compression.LZ4.value] = bounded(LZ4FrameDecompressor)


def bounded(make: Callable[[], Any]) -> Callable[..., bytes]:
    """A function from compressed to plain bytes that raises InvalidInputError beyond CHUNK_BYTES."""

    def decompress(data: bytes, *_: object) -> bytes:
        plain = make().decompress(bytes(data), CHUNK_BYTES + 1)
        if len(plain) > CHUNK_BYTES:
            raise InvalidInputError(f"a chunk unpacks to more than {CHUNK_BYTES // 1024**2} MiB")
        return plain

    return decompress
