"""NYU Depth v2 (Silberman et al. 2012): nyu_depth_v2_labeled.mat, a MATLAB 7.3 (HDF5) file of 1,449 pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError, MissingDependencyError
from imagebind_node.evaluation.datasets.base import Item, LabelledDataset, need
from imagebind_node.samples import DepthSample, Modality

FILE = "nyu_depth_v2_labeled.mat"
FOCAL_PX = 518.86
# The nine most frequent scene types; everything else is "other", as Gupta et al. 2015 and later work do.
COMMON = (
    "bathroom",
    "bedroom",
    "bookstore",
    "classroom",
    "dining_room",
    "home_office",
    "kitchen",
    "living_room",
    "office",
)
OTHER = "other indoor"


def read_nyud(root: Path) -> LabelledDataset:
    """All pictures, ten scene classes. Needs h5py (extra `datasets`)."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            "NYU Depth v2 needs: pip install 'imagebind_node[datasets]' (h5py)"
        ) from error
    path = root if root.is_file() else need(root, FILE, what="NYU Depth v2")
    try:
        with h5py.File(path, "r") as file:
            scenes = [_text(file, reference) for reference in np.ravel(file["sceneTypes"])]
            count = len(file["depths"])
    except (OSError, KeyError) as error:
        raise InvalidInputError(f"{path} is not the labelled file of NYU Depth v2: {error}") from error
    if count != len(scenes):
        raise InvalidInputError(f"{path} has {count} depth pictures but {len(scenes)} scene types")
    return LabelledDataset(
        "nyud",
        Modality.DEPTH,
        (*(name.replace("_", " ") for name in COMMON), OTHER),
        tuple(
            Item(
                str(i), (scene.replace("_", " ") if scene in COMMON else OTHER,), partial(load_depth, path, i)
            )
            for i, scene in enumerate(scenes)
        ),
    )


def load_depth(path: Path, index: int) -> DepthSample:
    """Metres; MATLAB stores columns first, so the picture comes transposed."""
    import h5py

    with h5py.File(path, "r") as file:
        depth = np.asarray(file["depths"][index], np.float32).T
    return DepthSample(np.where(depth > 0, depth, np.nan).astype(np.float32), focal_px=FOCAL_PX)


def _text(file: Any, reference: Any) -> str:
    return "".join(chr(code) for code in np.ravel(file[reference]))
