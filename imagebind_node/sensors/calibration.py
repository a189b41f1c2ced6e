"""Calibration files of cameras, as the ROS package camera_calibration writes them (camera_info_manager reads them)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from imagebind_node.errors import InvalidInputError
from imagebind_node.sensors.camera_model import CameraModel

MAX_BYTES = 1 << 20
_SIZES = {"camera_matrix": 9, "rectification_matrix": 9, "projection_matrix": 12}


def read_calibration(path: str | Path) -> CameraModel:
    """Geometry of a camera from its calibration file (YAML).

    Raises InvalidInputError, which names the file and the entry, for a file that cannot be read or used.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInputError(f"{path} is too large for a calibration file")
        entries = yaml.safe_load(path.read_text("utf8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"cannot read the calibration file {path}: {error}") from None
    if not isinstance(entries, dict):
        raise InvalidInputError(f"{path} is no calibration file: expected what camera_calibration writes")
    width, height = (_whole(path, entries, f"image_{side}") for side in ("width", "height"))
    k, r, p = (_numbers(path, entries, name, size) for name, size in _SIZES.items())
    if min(k[0], k[4], p[0], p[5]) <= 0:
        raise InvalidInputError(f"{path}: focal lengths must be positive: calibrate the camera again")
    return CameraModel(
        width,
        height,
        k[0],
        k[4],
        k[2],
        k[5],
        distortion_model=str(entries.get("distortion_model", "plumb_bob")),
        distortion=tuple(_numbers(path, entries, "distortion_coefficients", None)),
        rectification=tuple(r),
        projection=tuple(p),
    )


def _whole(path: Path, entries: dict[str, Any], name: str) -> int:
    value = entries.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise InvalidInputError(f"{path}: {name} is {value!r}, expected a positive whole number")
    return value


def _numbers(path: Path, entries: dict[str, Any], name: str, size: int | None) -> list[float]:
    entry = entries.get(name)
    data = entry.get("data") if isinstance(entry, dict) else None
    try:
        values = np.array(data, np.float64)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim != 1 or not np.isfinite(values).all() or (size is not None and len(values) != size):
        expected = "numbers" if size is None else f"{size} numbers"
        raise InvalidInputError(f"{path}: {name} has no `data` of {expected}")
    return [float(value) for value in values]
