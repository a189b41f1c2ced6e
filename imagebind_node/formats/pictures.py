"""Colour, grey and 16-bit pictures through Pillow."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import DECODER_ERRORS, MEBI, decoding, read_bytes
from imagebind_node.samples import MAX_IMAGE_SIDE

PICTURE_BYTES = 256 * MEBI
MAX_PIXELS = 100_000_000

_HINT = "use a JPEG, PNG, WebP, BMP or TIFF picture"


def _open(path: str | Path) -> Image.Image:
    data = read_bytes(path, PICTURE_BYTES)
    with warnings.catch_warnings():
        # Our own limit below is checked before any pixel is decoded.
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(io.BytesIO(data))
        except Image.DecompressionBombError:
            raise InvalidInputError(f"picture has more than {MAX_PIXELS} pixels: shrink it") from None
        width, height = picture.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_IMAGE_SIDE:
            raise InvalidInputError(
                f"picture of {width}x{height} pixels is too large "
                f"(limit {MAX_PIXELS} pixels, {MAX_IMAGE_SIDE} a side): shrink it"
            )
        picture.load()
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except DECODER_ERRORS:
        # A damaged EXIF block says nothing about orientation; the pixels themselves decoded well.
        return picture


def to_rgb(picture: Image.Image) -> np.ndarray:
    """Any Pillow picture -> uint8 (H, W, 3) RGB.

    Transparency is composited over white; 16-bit grey is scaled over its full range (65535 -> 255); CMYK, Lab,
    HSV and palette pictures are converted. Raises InvalidInputError for floating point pictures, whose range
    nobody states.
    """
    if picture.mode == "F":
        raise InvalidInputError("picture holds floating point values: read it as depth: or thermal:")
    if picture.mode.startswith("I"):
        grey = np.asarray(picture).astype(np.int64)
        grey8 = np.round(np.clip(grey, 0, 65535) / 257.0).astype(np.uint8)
        return np.repeat(grey8[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def read_rgb(path: str | Path) -> np.ndarray:
    """Picture file -> uint8 (H, W, 3) RGB, turned upright by its EXIF orientation; the first frame of an animation.

    Raises InvalidInputError naming the file and the cause.
    """
    with decoding(path, "picture", _HINT):
        return to_rgb(_upright(_open(path)))


def read_grey(path: str | Path) -> np.ndarray:
    """Single-channel picture file -> uint8, uint16 or float32 (H, W), values as stored.

    A three-channel picture whose channels are equal counts as single-channel. Raises InvalidInputError.
    """
    with decoding(path, "picture", "use a single-channel 8- or 16-bit PNG or TIFF"):
        picture = _upright(_open(path))
        if picture.mode == "F":
            return np.array(picture, dtype=np.float32)
        if picture.mode.startswith("I"):
            values = np.asarray(picture).astype(np.int64)
            if values.min() < 0 or values.max() > 65535:
                raise InvalidInputError("picture holds values outside 0 to 65535: save it as 16-bit unsigned")
            return values.astype(np.uint16)
        if picture.mode in ("L", "1"):
            return np.array(picture.convert("L"), dtype=np.uint8)
        rgb = to_rgb(picture)
        if (rgb[..., 0] != rgb[..., 1]).any() or (rgb[..., 0] != rgb[..., 2]).any():
            raise InvalidInputError(
                "is a colour picture; false colour hides the measured values: save the sensor's single channel"
            )
        return np.ascontiguousarray(rgb[..., 0])
