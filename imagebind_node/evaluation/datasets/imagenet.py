"""ImageNet validation pictures sorted into folders: val/n01440764/ILSVRC2012_val_00000293.JPEG.

Class names come from LOC_synset_mapping.txt (the Kaggle release: "n01440764 tench, Tinca tinca"), or words.txt; without
either, the folders' own names are taken, so any folder of class folders works.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.datasets.base import Item, LabelledDataset
from imagebind_node.files import read_image
from imagebind_node.formats.file_type import IMAGE_SUFFIXES
from imagebind_node.samples import Modality


def read_imagenet(root: Path) -> LabelledDataset:
    """The first synonym of a synset is the class name; equal names are kept apart by their synset."""
    folder = root / "val" if (root / "val").is_dir() else root
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not folders:
        raise InvalidInputError(f"{root} is not an ImageNet folder: no class folders in val/ or in it")
    synonyms = _names(root)
    labels = {path.name: synonyms.get(path.name, path.name.replace("_", " ")) for path in folders}
    repeated = {name for name in labels.values() if list(labels.values()).count(name) > 1}
    labels = {key: f"{name} ({key})" if name in repeated else name for key, name in labels.items()}
    return LabelledDataset(
        "imagenet",
        Modality.VISION,
        tuple(labels.values()),
        tuple(
            Item(f"{path.name}/{file.name}", (labels[path.name],), partial(read_image, file))
            for path in folders
            for file in sorted(path.iterdir())
            if file.suffix.lower() in IMAGE_SUFFIXES
        ),
    )


def _names(root: Path) -> dict[str, str]:
    for name in ("LOC_synset_mapping.txt", "words.txt"):
        path = root / name
        if path.is_file():
            lines = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
            return {parts[0]: parts[1].split(",")[0].strip() for parts in lines if len(parts) == 2}
    return {}
