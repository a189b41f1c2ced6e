"""Regions of unrelated pictures, against which each query's scores are calibrated, and their file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from imagebind_node.detection.base import Detector
from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.samples import ImageSample

FORMAT = "imagebind_node.null_regions/1"
FILE = "null_regions.safetensors"
TENSOR = "embeddings"


def collect_null_regions(
    detector: Detector, pictures: Iterable[ImageSample], count: int = 300, seed: int = 0
) -> np.ndarray:
    """Embeddings of `count` regions drawn from varied pictures of ordinary places: float32 (M, dim), unit.

    Any pictures like those that the robot sees will do, without labels; things that are searched for later
    may be among them if they are rare. Raises InvalidInputError if the pictures have fewer than 50 regions.
    """
    rows = [np.zeros((0, detector.space.dim), np.float32)]
    rows += [detector.regions(picture).embeddings for picture in pictures]
    found = np.concatenate(rows)
    if len(found) < 50:
        raise InvalidInputError(
            f"only {len(found)} regions in these pictures: give more of them, at least 50"
        )
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    return found[np.sort(chosen)]


def save_null_regions(path: Path, rows: np.ndarray, detector: str, space: Space, source: str) -> None:
    """Write rows as float16 with what they belong to; `source` says which pictures they are of."""
    metadata = {
        "format": FORMAT,
        "detector": detector,
        "space": space.id,
        "dim": str(space.dim),
        "source": source,
    }
    try:
        save_file({TENSOR: rows.astype(np.float16)}, path, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(f"cannot write {path}: {error}") from None


def load_null_regions(path: Path, detector: str, space: Space) -> np.ndarray:
    """Read rows for a detector and its space: float32 (M, dim), unit.

    Raises ModelFileError if the file is missing, damaged or made for another detector or space: the same
    space embedded by another detector has other regions.
    """
    if not path.is_file():
        raise ModelFileError(f"no null regions at {path}: make them with scripts/make_null_regions.py")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            owner = (
                metadata.get("format"),
                metadata.get("detector"),
                metadata.get("space"),
                metadata.get("dim"),
            )
            if owner != (FORMAT, detector, space.id, str(space.dim)):
                raise ModelFileError(
                    f"{path} holds null regions of {owner[1:]}, not of {(detector, space.id, str(space.dim))}"
                )
            rows = file.get_tensor(TENSOR).astype(np.float32)
    except (SafetensorError, OSError, KeyError) as error:
        raise ModelFileError(f"{path} is damaged: {error}") from None
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if rows.shape[1:] != (space.dim,) or not np.isfinite(norms).all() or norms.min(initial=1) < 1e-3:
        raise ModelFileError(f"{path} is damaged: rows of shape {rows.shape} that are not unit vectors")
    return rows / norms
