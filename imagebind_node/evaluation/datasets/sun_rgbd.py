"""SUN RGB-D (Song et al. 2015): SUNRGBD/<sensor>/.../<scene>/ with depth_bfx/*.png, intrinsics.txt and scene.txt."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.datasets.base import Item, LabelledDataset
from imagebind_node.samples import DepthSample, Modality

# The 19 scene categories with more than 80 pictures, which the authors' benchmark uses.
CLASSES = (
    "bathroom",
    "bedroom",
    "classroom",
    "computer_room",
    "conference_room",
    "corridor",
    "dining_area",
    "dining_room",
    "discussion_area",
    "furniture_store",
    "home_office",
    "kitchen",
    "lab",
    "lecture_theatre",
    "library",
    "living_room",
    "office",
    "rest_space",
    "study_space",
)


def read_sun_rgbd(root: Path) -> LabelledDataset:
    """All scenes of the 19 categories; the refined depth (depth_bfx) if it is there, else the raw one."""
    items = []
    for scene in sorted(root.rglob("scene.txt")):
        label = scene.read_text(encoding="utf-8", errors="replace").strip()
        pictures = sorted((scene.parent / "depth_bfx").glob("*.png")) or sorted(
            (scene.parent / "depth").glob("*.png")
        )
        if label in CLASSES and pictures:
            name = str(scene.parent.relative_to(root))
            items.append(Item(name, (label.replace("_", " "),), partial(load_depth, pictures[0])))
    if not items:
        raise InvalidInputError(
            f"{root} is not SUN RGB-D: no scene.txt of the 19 categories with a depth picture"
        )
    return LabelledDataset(
        "sun_rgbd", Modality.DEPTH, tuple(name.replace("_", " ") for name in CLASSES), tuple(items)
    )


def load_depth(path: Path) -> DepthSample:
    """Depth in metres: the 16-bit values are rotated left by 3 bits, millimetres, at most 8 m count
    (SUNRGBDtoolbox)."""
    from imagebind_node.formats.pictures import read_grey

    stored = read_grey(path)
    if stored.dtype != np.uint16:
        raise InvalidInputError(f"{path} is not a 16-bit depth picture")
    metres = ((stored >> 3) | (stored << 13)).astype(np.float32) / 1000
    focal = _focal(path.parent.parent / "intrinsics.txt")
    return DepthSample(np.where(metres > 0, np.minimum(metres, 8), np.nan).astype(np.float32), focal_px=focal)


def _focal(path: Path) -> float | None:
    if not path.is_file():
        return None
    try:
        return float(path.read_text().split()[0])
    except (ValueError, IndexError) as error:
        raise InvalidInputError(f"{path} does not begin with the focal length in pixels") from error
