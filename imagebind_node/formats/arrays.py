"""numpy .npy and .npz files, never unpickled, with the size checked before anything is unpacked."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import MEBI, decoding, read_bytes

ARRAY_BYTES = 512 * MEBI


def is_array_file(path: str | Path) -> bool:
    """True for names that end in .npy or .npz."""
    return Path(path).suffix.lower() in (".npy", ".npz")


def read_arrays(path: str | Path, default_name: str) -> dict[str, np.ndarray]:
    """Numeric arrays of a .npz file by name, or {default_name: array} for a .npy file.

    Raises InvalidInputError: not such a file, damaged, larger unpacked than 512 MiB, or holding Python objects.
    """
    hint = "save it with numpy.save or numpy.savez, without Python objects"
    with decoding(path, "numpy file", hint):
        data = read_bytes(path, ARRAY_BYTES)
        if data.startswith(b"\x93NUMPY"):
            arrays = {default_name: load_npy(data)}
        else:
            arrays = load_npz(data)
        for name, array in arrays.items():
            if array.dtype.kind not in "fiub":
                raise InvalidInputError(f"array {name!r} has type {array.dtype}; it must hold real numbers")
        return arrays


def load_npy(data: bytes) -> np.ndarray:
    """The array of a whole .npy file. Raises InvalidInputError or ValueError if it is damaged or holds objects."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise InvalidInputError(f"numpy format version {version} is not supported: save it again")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    claimed = dtype.itemsize
    for side in shape:
        claimed *= int(side)
    # A hostile header would otherwise make numpy allocate whatever it claims.
    if claimed < 0 or claimed > len(data):
        raise InvalidInputError(f"is truncated: its header claims {claimed} bytes of data")
    return np.load(io.BytesIO(data), allow_pickle=False)


def load_npz(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a whole .npz file, of at most ARRAY_BYTES unpacked. Raises as `load_npy`, or zipfile.BadZipFile."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > ARRAY_BYTES or len(members) > 1000:
            raise InvalidInputError(
                f"would unpack to {total / MEBI:.0f} MiB (limit {ARRAY_BYTES / MEBI:.0f} MiB): shrink it"
            )
        arrays = {}
        for member in members:
            if member.filename.endswith(".npy"):
                arrays[member.filename.removesuffix(".npy")] = load_npy(archive.read(member))
    if not arrays:
        raise InvalidInputError("holds no arrays")
    return arrays
