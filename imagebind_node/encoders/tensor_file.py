"""Safetensors files, mapped or read tensor by tensor.

The safetensors package copies every tensor that it hands out. Here, weights that are used as they are stay in the
mapped file: they cost nothing until they are read, and processes share them. Pages of a mapped file count as
resident memory for as long as it is open, so weights that are repacked right after reading are read into memory of
their own instead, which is freed one by one.
Format: https://github.com/huggingface/safetensors (8 bytes header length, JSON header, data).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagebind_node.errors import ModelFileError

_TYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "I64": torch.int64,
}
_MAX_HEADER = 100 << 20


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, str], int]:
    """Entries by name, metadata, and where the data starts. Raises ModelFileError on a damaged or cut file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(_MAX_HEADER, size - 8):
                raise ModelFileError(f"{path} is not a safetensors file, or it is cut off: fetch it again")
            entries = json.loads(file.read(length))
    except OSError as error:
        raise ModelFileError(f"cannot read model file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelFileError(f"{path} is not a safetensors file: its header is no JSON") from error
    if not isinstance(entries, dict):
        raise ModelFileError(f"{path} is not a safetensors file: its header is no JSON object")
    metadata = entries.pop("__metadata__", {})
    start = 8 + length
    for name, entry in entries.items():
        _check_entry(path, name, entry, size - start)
    return entries, metadata if isinstance(metadata, dict) else {}, start


def _check_entry(path: Path, name: str, entry: Any, available: int) -> None:
    try:
        dtype, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        valid = dtype in _TYPES and all(isinstance(side, int) and side >= 0 for side in shape)
        elements = 1
        for side in shape:
            elements *= side
        valid = (
            valid
            and isinstance(first, int)
            and first >= 0
            and first + elements * _TYPES[dtype].itemsize == last
        )
    except (KeyError, TypeError, ValueError):
        valid = False
    if not valid:
        raise ModelFileError(f"{path} is damaged: entry {name!r} has an impossible description")
    if last > available:
        raise ModelFileError(f"{path} is cut off: entry {name!r} lies behind its end; fetch it again")


def map_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the file, in place: nothing is read yet. Writing to them does not change the file."""
    entries, _, start = read_header(path)
    storage: Any = torch.UntypedStorage.from_file(str(path), False, path.stat().st_size)
    tensors = {}
    for name, entry in entries.items():
        dtype, first = _TYPES[entry["dtype"]], start + entry["data_offsets"][0]
        if first % dtype.itemsize:
            raise ModelFileError(f"{path} is damaged: entry {name!r} starts at an odd place")
        place, shape = first // dtype.itemsize, torch.Size(entry["shape"])
        tensors[name] = torch.empty(0, dtype=dtype).set_(storage, place, shape, _strides(shape))
    return tensors


def read_tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the file, each in memory of its own."""
    entries, _, start = read_header(path)
    with path.open("rb") as file:
        for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"][0]):
            first, last = entry["data_offsets"]
            raw = np.empty(last - first, dtype=np.uint8)
            file.seek(start + first)
            if file.readinto(raw.data) != last - first:
                raise ModelFileError(f"{path} is cut off in entry {name!r}: fetch it again")
            dtype = _TYPES[entry["dtype"]]
            if raw.size:
                yield name, torch.from_numpy(raw).view(dtype).view(entry["shape"])
            else:
                yield name, torch.empty(entry["shape"], dtype=dtype)


def _strides(shape: torch.Size) -> tuple[int, ...]:
    strides, step = [], 1
    for side in reversed(shape):
        strides.append(step)
        step *= max(side, 1)
    return tuple(reversed(strides))
