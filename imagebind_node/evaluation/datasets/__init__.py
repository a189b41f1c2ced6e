"""Readers of datasets in the layout in which their authors publish them. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.datasets.base import CaptionedItem, Item, LabelledDataset
from imagebind_node.evaluation.datasets.captions import read_audiocaps, read_clotho
from imagebind_node.evaluation.datasets.ego4d import read_ego4d
from imagebind_node.evaluation.datasets.esc50 import read_esc50
from imagebind_node.evaluation.datasets.imagenet import read_imagenet
from imagebind_node.evaluation.datasets.llvip import read_llvip
from imagebind_node.evaluation.datasets.nyud import read_nyud
from imagebind_node.evaluation.datasets.sun_rgbd import read_sun_rgbd

LABELLED: dict[str, Callable[[Path], LabelledDataset]] = {
    "esc50": read_esc50,
    "imagenet": read_imagenet,
    "sun_rgbd": read_sun_rgbd,
    "nyud": read_nyud,
    "llvip": read_llvip,
    "ego4d": read_ego4d,
}
CAPTIONED: dict[str, Callable[[Path], list[CaptionedItem]]] = {
    "audiocaps": read_audiocaps,
    "clotho": read_clotho,
}

__all__ = ["CAPTIONED", "LABELLED", "CaptionedItem", "Item", "LabelledDataset", "read_dataset"]


def read_dataset(name: str, root: str | Path) -> LabelledDataset:
    """Read a labelled dataset; raises InvalidInputError for an unknown name or another layout."""
    if name not in LABELLED:
        raise InvalidInputError(f"unknown dataset {name!r}: use one of {', '.join(LABELLED)}")
    return LABELLED[name](Path(root))
