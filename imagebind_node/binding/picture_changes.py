"""Random changes of a colour picture: colour jitter, RandAugment, erasing. torchvision has them, but does not load
beside every build of torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

_GREY = (124, 116, 104)  # ImageNet's mean colour
_OPERATIONS = 2
Operation = Callable[[Image.Image, float, int], Image.Image]
"""(RGB picture, level from 0 to 1, sign) -> RGB picture of the same size."""


def color_jitter(picture: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Brightness, contrast and saturation by factors from 1 - strength to 1 + strength, in random order."""
    for kind in rng.permutation(3):
        enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
        picture = enhance(picture).enhance(rng.uniform(1 - strength, 1 + strength))
    return picture


def rand_augment(
    picture: Image.Image, rng: np.random.Generator, magnitude: float, deviation: float = 0.5
) -> Image.Image:
    """RandAugment (Cubuk et al. 2020): two of fourteen operations, each applied with probability one half at a
    magnitude, of 10, that is drawn around `magnitude`."""
    for name in rng.choice(list(OPERATIONS), _OPERATIONS):
        if rng.random() < 0.5:
            level = float(np.clip(rng.normal(magnitude, deviation), 0, 10)) / 10
            picture = OPERATIONS[name](picture, level, 1 if rng.random() < 0.5 else -1)
    return picture


def erase(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (H, W, 3): a rectangle of 2 to 33 % of the area becomes grey (Random Erasing, Zhong et al. 2020)."""
    height, width = pixels.shape[:2]
    area = rng.uniform(0.02, 0.33) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
    rows = min(height, round((area / aspect) ** 0.5))
    columns = min(width, round((area * aspect) ** 0.5))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    pixels = pixels.copy()
    pixels[top : top + rows, left : left + columns] = _GREY
    return pixels


def _affine(picture: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=_GREY
    )


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda picture, level, sign: kind(picture).enhance(1 + 0.9 * level * sign)


OPERATIONS: dict[str, Operation] = {
    "auto_contrast": lambda picture, level, sign: ImageOps.autocontrast(picture),
    "equalize": lambda picture, level, sign: ImageOps.equalize(picture),
    "invert": lambda picture, level, sign: ImageOps.invert(picture),
    "rotate": lambda picture, level, sign: picture.rotate(
        30 * level * sign, Image.Resampling.BILINEAR, fillcolor=_GREY
    ),
    "posterize": lambda picture, level, sign: ImageOps.posterize(picture, 8 - round(4 * level)),
    "solarize": lambda picture, level, sign: ImageOps.solarize(picture, round(256 * (1 - level))),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": lambda picture, level, sign: _affine(picture, (1, 0.3 * level * sign, 0, 0, 1, 0)),
    "shear_y": lambda picture, level, sign: _affine(picture, (1, 0, 0, 0.3 * level * sign, 1, 0)),
    "translate_x": lambda picture, level, sign: _affine(
        picture, (1, 0, 0.45 * level * sign * picture.width, 0, 1, 0)
    ),
    "translate_y": lambda picture, level, sign: _affine(
        picture, (1, 0, 0, 0, 1, 0.45 * level * sign * picture.height)
    ),
}
