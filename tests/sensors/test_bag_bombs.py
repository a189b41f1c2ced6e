"""Recordings of a few kilobytes that unpack to gigabytes are refused in one line, without the gigabytes."""

from __future__ import annotations

import bz2
import resource
import struct

import pytest

pytest.importorskip("rosbags")

import lz4.frame
from recorded_bag import write
from rosbags.rosbag1 import reader as ros1
from rosbags.rosbag2 import storage_mcap

from imagebind_node.errors import InvalidInputError
from imagebind_node.sensors import bag_bombs
from imagebind_node.sensors.bag import Recording

MEBI = 1024**2
MAGIC = b"\x89MCAP0\r\n"


def record(code: int, content: bytes) -> bytes:
    return bytes([code]) + struct.pack("<Q", len(content)) + content


def text(words: str) -> bytes:
    return struct.pack("<I", len(words)) + words.encode()


def mcap_with_chunk(compression: str, packed: bytes, size: int) -> bytes:
    """An MCAP file of one chunk and no index."""
    chunk = struct.pack("<QQQI", 0, 1, size, 0) + text(compression) + struct.pack("<Q", len(packed)) + packed
    end = record(0x0F, bytes(4)) + record(0x02, bytes(20))
    return MAGIC + record(0x01, text("ros2") + text("")) + record(0x06, chunk) + end + MAGIC


def zeros(compressor, mebi: int) -> bytes:
    block = bytes(MEBI)
    return b"".join([*(compressor.compress(block) for _ in range(mebi)), compressor.flush()])


@pytest.mark.parametrize("claim", [64 * MEBI, 1000])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_mcap(tmp_path, monkeypatch, compression, claim):
    monkeypatch.setattr(bag_bombs, "CHUNK_BYTES", 2 * MEBI)
    if compression == "zstd":
        packed = zeros(storage_mcap.zstd.ZstdCompressor(), 64)
    else:
        packed = lz4.frame.compress(bytes(64 * MEBI))
    path = tmp_path / "bomb.mcap"
    path.write_bytes(mcap_with_chunk(compression, packed, claim))
    assert path.stat().st_size < MEBI
    with pytest.raises(InvalidInputError, match="unpacks to more than 2 MiB") as caught:
        list(Recording(path).messages())
    assert "\n" not in str(caught.value)


def test_a_gigabyte_does_not_come_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_bombs, "CHUNK_BYTES", 64 * MEBI)
    path = tmp_path / "bomb.mcap"
    path.write_bytes(mcap_with_chunk("zstd", zeros(storage_mcap.zstd.ZstdCompressor(), 1024), 1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidInputError, match="unpacks to more"):
        list(Recording(path).messages())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024  # KiB: half of it


def test_ros1(monkeypatch):
    monkeypatch.setattr(bag_bombs, "CHUNK_BYTES", 2 * MEBI)
    bag_bombs.bound_chunks()
    for packed in (bz2.compress(bytes(64 * MEBI)), lz4.frame.compress(bytes(64 * MEBI))):
        name = "bz2" if packed.startswith(b"BZh") else "lz4"
        with pytest.raises(InvalidInputError, match="unpacks to more"):
            ros1.decompressors[name](packed)


def test_what_is_compressed_in_earnest_is_read(tmp_path):
    assert sum(1 for _ in Recording(write(tmp_path / "bag")).messages()) > 400
    words = b"abc" * 1000
    assert storage_mcap.DECOMPRESSORS["zstd"](storage_mcap.zstd.compress(words), 3000) == words
    assert storage_mcap.DECOMPRESSORS["lz4"](lz4.frame.compress(words), 3000) == words
    assert ros1.decompressors["bz2"](bz2.compress(words)) == words
