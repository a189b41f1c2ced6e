"""Augmented versions of the pictures that a sense is bound to: a few of each, embedded once and kept.

ImageBind augments both sides of a pair, and crops a depth or thermal picture where its picture is cropped: with crops
that do not agree it recognises 16.0 % by depth instead of 26.7 % (Girdhar et al. 2023, Table 5e). Fresh crops at every
step would put the frozen tower into every step, so each picture gets `count` of them for the whole training.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from imagebind_node.binding.picture_changes import color_jitter, erase, rand_augment
from imagebind_node.errors import InvalidInputError

SIDE = 224
WHOLE = np.array([0, 0, 1, 1, 0], np.float32)
"""The region that leaves a picture as it is."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """count: versions of each training picture, 0: the picture as it is. scale, ratio: share of the area and aspect of
    a crop. flip, erase: probabilities. jitter: strength of changes of colour. rand_augment: magnitude (0 to 10),
    0: none. frame: what the towers see of a picture: `centre` (its middle square, ImageBind) or `whole` (squeezed,
    `concept`). aligned: the tower's input is a picture (C, H, W) of the same view and is cropped and flipped alike."""

    count: int = 0
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    flip: float = 0.5
    jitter: float = 0.0
    rand_augment: float = 0.0
    erase: float = 0.0
    frame: str = "centre"
    aligned: bool = False

    def __post_init__(self) -> None:
        checks = {
            "count must be from 0 to 1000": 0 <= self.count <= 1000,
            "scale must be two numbers above 0, at most 1, the smaller first": _ascending(self.scale)
            and self.scale[1] <= 1,
            "ratio must be two numbers above 0, the smaller first": _ascending(self.ratio),
            "flip and erase must be from 0 to 1": all(0 <= p <= 1 for p in (self.flip, self.erase)),
            "jitter must be from 0 to 1, rand_augment from 0 to 10": 0 <= self.jitter <= 1
            and 0 <= self.rand_augment <= 10,
            "frame must be centre or whole": self.frame in ("centre", "whole"),
        }
        for message, fine in checks.items():
            if not fine:
                raise InvalidInputError(f"recipe, views: {message}")


def region(views: Views, key: str, number: int) -> np.ndarray:
    """Version `number` of the picture of the pair `key`: float32 (left, top, width, height, flipped), shares of the
    frame and 0 or 1. The same on every machine."""
    rng = _rng(key, number, "region")
    area, aspect = rng.uniform(*views.scale), np.exp(rng.uniform(*np.log(views.ratio)))
    width, height = min(1.0, (area * aspect) ** 0.5), min(1.0, (area / aspect) ** 0.5)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return np.array([left, top, width, height, rng.random() < views.flip], np.float32)


def picture_view(image: np.ndarray, views: Views, key: str, number: int) -> np.ndarray:
    """uint8 (H, W, 3) -> the version of this number, uint8 (224, 224, 3)."""
    if views.frame == "centre":
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
    place = region(views, key, number)
    rows, columns = _pixels(place, *image.shape[:2])
    part = cv2.resize(
        np.ascontiguousarray(image[rows, columns]), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR
    )
    picture = Image.fromarray(np.ascontiguousarray(part[:, ::-1]) if place[4] else part)
    rng = _rng(key, number, "colours")
    if views.jitter:
        picture = color_jitter(picture, rng, views.jitter)
    if views.rand_augment:
        picture = rand_augment(picture, rng, views.rand_augment)
    pixels = np.array(picture)
    return erase(pixels, rng) if rng.random() < views.erase else pixels


def input_view(sample: Tensor, place: np.ndarray) -> Tensor:
    """A tower's input (C, H, W): the region `place` of it, stretched to the whole (bilinear, anti-aliased)."""
    height, width = sample.shape[-2:]
    rows, columns = _pixels(place, height, width)
    part = interpolate(
        sample[None, :, rows, columns], (height, width), mode="bilinear", align_corners=False, antialias=True
    )[0]
    return part.flip(-1) if place[4] else part


@dataclass(frozen=True, eq=False)
class ViewAnchors:
    """anchors: float32 (N, V, D), unit rows, of the V versions of N pictures. places: float32 (N, V, 5), regions to cut
    out of the tower's inputs, None where these are no pictures of the same view."""

    anchors: np.ndarray
    places: np.ndarray | None

    def part(self, rows: np.ndarray) -> ViewAnchors:
        """Those of `rows`."""
        return ViewAnchors(self.anchors[rows], None if self.places is None else self.places[rows])

    def draw(self, row: int, number: int, sample: Tensor) -> tuple[Tensor, np.ndarray]:
        """(the tower's input, the anchor (D,)) of version `number` of a row, counted round and round."""
        number %= self.anchors.shape[1]
        if self.places is not None:
            if sample.ndim != 3:
                raise InvalidInputError(
                    f"recipe, views: aligned needs inputs (C, H, W), got {tuple(sample.shape)}: set it to false"
                )
            sample = input_view(sample, self.places[row, number])
        return sample, self.anchors[row, number]


def _pixels(place: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    left, top, wide, high = (float(value) for value in place[:4])
    first_row, first_column = min(round(top * height), height - 1), min(round(left * width), width - 1)
    rows, columns = max(1, round(high * height)), max(1, round(wide * width))
    return slice(first_row, first_row + rows), slice(first_column, first_column + columns)


def _ascending(pair: tuple[float, float]) -> bool:
    return len(pair) == 2 and 0 < pair[0] <= pair[1]


def _rng(key: str, number: int, what: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{what} {number} {key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
