"""IMU recordings: CSV with named columns, or numpy arrays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.arrays import is_array_file, read_arrays
from imagebind_node.formats.bounded import MEBI, decoding, read_bytes

CSV_BYTES = 64 * MEBI
COLUMNS = ("t", "ax", "ay", "az", "gx", "gy", "gz")
EXPECTED = (
    "use CSV with the header t,ax,ay,az,gx,gy,gz (s, m/s^2, rad/s), .npy of shape (N, 7) in that order, "
    "or .npz with data (N, 6) and times (N,)"
)


def split_table(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 7) table t,ax,ay,az,gx,gy,gz -> (float32 (N, 6), float64 (N,) seconds)."""
    if table.ndim != 2 or table.shape[1] != len(COLUMNS):
        raise InvalidInputError(f"IMU table has shape {table.shape}: {EXPECTED}")
    with np.errstate(over="ignore", invalid="ignore"):
        return table[:, 1:].astype(np.float32), table[:, 0].astype(np.float64)


def read_imu_table(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """IMU file -> (float32 (N, 6): accelerometer xyz m/s^2, gyroscope xyz rad/s; float64 (N,) seconds).

    Raises InvalidInputError naming file and cause.
    """
    with decoding(path, "IMU recording", EXPECTED):
        if not is_array_file(path):
            return split_table(_read_csv(path))
        arrays = read_arrays(path, "table")
        if {"data", "times"} <= arrays.keys():
            with np.errstate(over="ignore", invalid="ignore"):
                return arrays["data"].astype(np.float32), arrays["times"].astype(np.float64)
        if len(arrays) == 1:
            return split_table(next(iter(arrays.values())))
        raise InvalidInputError(f"holds arrays {', '.join(sorted(arrays))[:80]}: {EXPECTED}")


def _read_csv(path: str | Path) -> np.ndarray:
    text = read_bytes(path, CSV_BYTES).decode("utf-8-sig")
    header, _, body = text.partition("\n")
    names = [name.strip().lower() for name in header.split(",")]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise InvalidInputError(f"has no column {', '.join(missing)} in its first line: {EXPECTED}")
    if not body.strip():
        raise InvalidInputError("has a header but no measurements")
    order = [names.index(column) for column in COLUMNS]
    return np.loadtxt(io.StringIO(body), delimiter=",", usecols=order, ndmin=2, dtype=np.float64)
