"""Which part of a picture the dense detector sees, at which resolution, and where its patches lie.

- centre: short side to the trained size, the middle square; what the encoder sees, so that its embedding is
shared
- full: the whole picture at once, short side to `side`, position embeddings interpolated to the longer grid
- windows: the whole picture in overlapping squares of the trained size; for large pictures and small things
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.image import IMAGE, preprocess_image
from imagebind_node.samples import ImageSample

VIEWS = ("centre", "full", "windows")
OVERLAP = 2  # neighbouring windows share 1 / OVERLAP of their side
LONGEST = 4  # the long side of a picture, in short sides; more would make the attention explode
MAX_WINDOWS = 32


@dataclass(frozen=True)
class View:
    """Network input and geometry.

    batch: float32 (B, 3, h, w). grid: rows and columns of the joined patches. offset, cell: pixels of the
    picture at the grid's corner, and of one patch (x, y). size: width and height of the picture. corners:
    place of each batch row's first patch in the grid (row, column).
    """

    batch: torch.Tensor
    grid: tuple[int, int]
    offset: tuple[float, float]
    cell: tuple[float, float]
    size: tuple[int, int]
    corners: tuple[tuple[int, int], ...] = ((0, 0),)

    def to_pixels(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) in patches -> pixels, clipped to the picture."""
        pixels = boxes * np.tile(self.cell, 2) + np.tile(self.offset, 2)
        return np.clip(pixels, 0, np.tile(self.size, 2)).astype(np.float32)

    def to_patches(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) in pixels -> patches."""
        return ((boxes - np.tile(self.offset, 2)) / np.tile(self.cell, 2)).astype(np.float32)

    def join(self, patches: np.ndarray) -> np.ndarray:
        """Patch embeddings (B, h, w, dim) of all batch rows -> unit embeddings of the grid (rows, columns, dim).

        Where windows overlap their embeddings are averaged.
        """
        if len(patches) == 1:
            return patches[0]
        _, height, width, dim = patches.shape
        total = np.zeros((*self.grid, dim), np.float32)
        for window, (row, column) in zip(patches, self.corners, strict=True):
            total[row : row + height, column : column + width] += window
        return total / np.maximum(np.linalg.norm(total, axis=-1, keepdims=True), 1e-12)

    def over_picture(self, values: np.ndarray) -> np.ndarray:
        """A map of the grid -> one of the whole picture, cells as large, the least value outside the view."""
        rows, columns = (max(1, round(s / c)) for s, c in zip(self.size[::-1], self.cell[::-1], strict=True))
        if (rows, columns) == values.shape:
            return values
        x = ((np.arange(columns) + 0.5) * self.size[0] / columns - self.offset[0]) / self.cell[0]
        y = ((np.arange(rows) + 0.5) * self.size[1] / rows - self.offset[1]) / self.cell[1]
        across, down = (grid.astype(np.float32) for grid in np.meshgrid(x, y))
        seen = (across >= 0) & (across <= values.shape[1]) & (down >= 0) & (down <= values.shape[0])
        moved = cv2.remap(
            values.astype(np.float32),
            across - 0.5,
            down - 0.5,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.where(seen, moved, values.min())


def make_view(name: str, pixels: np.ndarray, side: int, trained: int, patch: int) -> View:
    """Prepare a uint8 RGB picture (H, W, 3). Raises InvalidInputError for a strip that no view fits."""
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST * min(height, width):
        raise InvalidInputError(
            f"a picture of {width}x{height} pixels is too long and narrow to search: crop it to {LONGEST}:1"
        )
    if name == "centre":
        return _centre(pixels, trained, patch)
    rows, columns = (
        max(side // patch, round(length * side / min(height, width) / patch)) for length in (height, width)
    )
    batch = _normalised(pixels, columns * patch, rows * patch)
    cell = (width / columns, height / rows)
    if name == "full":
        return View(batch, (rows, columns), (0.0, 0.0), cell, (width, height))
    window = trained // patch
    if side < trained:
        raise InvalidInputError(f"windows are {trained} pixels wide: side must be at least that, got {side}")
    corners = tuple((r, c) for r in _starts(rows, window) for c in _starts(columns, window))
    if len(corners) > MAX_WINDOWS:
        raise InvalidInputError(f"side {side} gives {len(corners)} windows, at most {MAX_WINDOWS}: lower it")
    crops = [
        batch[0, :, r * patch : (r + window) * patch, c * patch : (c + window) * patch] for r, c in corners
    ]
    return View(torch.stack(crops), (rows, columns), (0.0, 0.0), cell, (width, height), corners)


def _centre(pixels: np.ndarray, trained: int, patch: int) -> View:
    height, width = pixels.shape[:2]
    scale = min(height, width) / trained
    count = trained // patch
    offset = ((width - trained * scale) / 2, (height - trained * scale) / 2)
    batch = preprocess_image(ImageSample(pixels))[None]
    return View(batch, (count, count), offset, (patch * scale, patch * scale), (width, height))


def _normalised(pixels: np.ndarray, width: int, height: int) -> torch.Tensor:
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    values = (pixels.astype(np.float32) / 255.0 - np.array(IMAGE.mean, np.float32)) / np.array(
        IMAGE.std, np.float32
    )
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def _starts(count: int, window: int) -> list[int]:
    """Evenly placed windows that cover `count` patches with at least the wanted overlap."""
    steps = -(-(count - window) * OVERLAP // window)
    return sorted({round(i * (count - window) / steps) for i in range(steps + 1)}) if steps else [0]
