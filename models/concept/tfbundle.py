"""Read the float tensors of a TensorFlow checkpoint (variables.index + .data) in plain numpy.

Format: tensor_bundle.proto and the LevelDB table format, both of TensorFlow's source.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_FOOTER_BYTES = 48
_DT_FLOAT = 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _entries(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one uncompressed block; keys share prefixes with their predecessor."""
    if table[offset + size] != 0:
        raise ValueError("checkpoint index is compressed: not supported")
    block = table[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _message(data: bytes) -> dict[int, list]:
    """Fields of a protocol buffer message by number, undecoded."""
    at, fields = 0, {}
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, at = data[at : at + width], at + width
        else:
            raise ValueError(f"unknown protocol buffer wire type {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def read_bundle(prefix: Path) -> dict[str, np.ndarray]:
    """All float32 tensors of the checkpoint at `prefix` (without .index), by name."""
    table = prefix.with_name(prefix.name + ".index").read_bytes()
    data = prefix.with_name(prefix.name + ".data-00000-of-00001").read_bytes()
    footer = table[-_FOOTER_BYTES:]
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    offset, at = _varint(footer, at)
    size, at = _varint(footer, at)
    tensors = {}
    for _, handle in _entries(table, offset, size):
        block_offset, at = _varint(handle, 0)
        block_size, at = _varint(handle, at)
        for key, value in _entries(table, block_offset, block_size):
            entry = _message(value)
            if not key or entry.get(1, [0])[0] != _DT_FLOAT:
                continue
            dims = _message(entry[2][0]).get(2, []) if 2 in entry else []
            shape = [_message(dim).get(1, [0])[0] for dim in dims]
            start, length = entry.get(4, [0])[0], entry.get(5, [0])[0]
            tensors[key.decode()] = np.frombuffer(data[start : start + length], "<f4").reshape(shape)
    return tensors
