"""LLVIP (Jia et al. 2021): infrared/test/*.jpg and Annotations/*.xml (Pascal VOC boxes of persons).

As in the ImageBind paper, recognition is person or not: every box is cropped, and for each a crop of the same size is
taken where nobody is.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.datasets.base import Item, LabelledDataset, need
from imagebind_node.samples import Modality, ThermalSample

PERSON, BACKGROUND = "person", "background"
Box = tuple[int, int, int, int]
_TRIES = 50


def read_llvip(root: Path) -> LabelledDataset:
    """The test split. Background crops are drawn from a generator seeded by the picture's name."""
    folder = need(root, "infrared", "test", what="LLVIP")
    annotations = need(root, "Annotations", what="LLVIP")
    items = []
    for picture in sorted(folder.glob("*.jpg")):
        table = annotations / f"{picture.stem}.xml"
        if not table.is_file():
            continue
        size, boxes = _read_boxes(table)
        dice = random.Random(picture.stem)
        for number, box in enumerate(boxes):
            items.append(Item(f"{picture.stem}/{number}", (PERSON,), partial(load_crop, picture, box)))
            empty = _empty_box(box, boxes, size, dice)
            if empty is not None:
                name = f"{picture.stem}/{number}b"
                items.append(Item(name, (BACKGROUND,), partial(load_crop, picture, empty)))
    return LabelledDataset("llvip", Modality.THERMAL, (PERSON, BACKGROUND), tuple(items))


def load_crop(path: Path, box: Box) -> ThermalSample:
    """Pixels x0 <= x < x1, y0 <= y < y1 of a picture, uint8."""
    from imagebind_node.formats.pictures import read_rgb

    x0, y0, x1, y1 = box
    # Grey pictures stored as colour JPEG: the channels differ by rounding only.
    grey = read_rgb(path)[y0:y1, x0:x1].mean(2).round().astype(np.uint8)
    return ThermalSample(grey)


def _read_boxes(path: Path) -> tuple[tuple[int, int], list[Box]]:
    try:
        tree = ElementTree.parse(path).getroot()
        width, height = (int(tree.findtext(f"size/{name}") or "") for name in ("width", "height"))
        boxes = []
        for thing in tree.iter("object"):
            if thing.findtext("name") == PERSON:
                x0, y0, x1, y1 = (
                    int(float(thing.findtext(f"bndbox/{name}") or ""))
                    for name in ("xmin", "ymin", "xmax", "ymax")
                )
                box = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
                if box[2] - box[0] >= 2 and box[3] - box[1] >= 2:
                    boxes.append(box)
    except (ElementTree.ParseError, ValueError) as error:
        raise InvalidInputError(f"{path} is not a Pascal VOC annotation: {error}") from error
    return (width, height), boxes


def _empty_box(box: Box, boxes: list[Box], size: tuple[int, int], dice: random.Random) -> Box | None:
    width, height = box[2] - box[0], box[3] - box[1]
    for _ in range(_TRIES):
        x, y = dice.randint(0, size[0] - width), dice.randint(0, size[1] - height)
        if all(x >= b[2] or x + width <= b[0] or y >= b[3] or y + height <= b[1] for b in boxes):
            return (x, y, x + width, y + height)
    return None
