"""Pictures for people: boxes, labels, heat maps and the spectrogram of a cue. Imports no torch and no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.signal import resample_poly, stft

from imagebind_node.samples import AudioSample

# Okabe and Ito's colours: told apart by colour-blind people too.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
EXPECTED = (255, 255, 255)
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_INK, _PAPER = (24, 24, 28), (250, 250, 248)
_STRIP_RATE, _STRIP_WINDOW = 16000, 512
_STRIP_BANDS, _STRIP_FLOOR_DB = 96, -60.0


@dataclass(frozen=True)
class LabelledBox:
    """A box to draw: x0, y0, x1, y1 in pixels; text beside it; RGB colour; dashed for what was expected."""

    box: Sequence[float]
    text: str = ""
    colour: tuple[int, int, int] = COLOURS[0]
    dashed: bool = False


def overlay_heat(image: np.ndarray, heat: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """Lay a heat map over a picture: uint8 (H, W, 3) and any-size float (h, w) -> uint8 (H, W, 3).

    The map is stretched between its median and its maximum, so that the upper half of its range shows.
    Cold places stay grey, hot ones are coloured; NaN is cold.
    """
    height, width = image.shape[:2]
    heat = np.nan_to_num(np.asarray(heat, np.float32), nan=-np.inf)
    finite = heat[np.isfinite(heat)]
    if not finite.size or finite.max() <= np.median(finite):
        return image.copy()
    low, high = float(np.median(finite)), float(finite.max())
    level = np.clip((heat - low) / (high - low), 0.0, 1.0)
    level = np.clip(cv2.resize(level, (width, height), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    colour = cv2.applyColorMap(np.uint8(np.round(level * 255)), cv2.COLORMAP_INFERNO)[..., ::-1]
    alpha = (strength * level)[..., None]
    grey = image.mean(2, keepdims=True)
    base = image * (0.45 + 0.55 * level[..., None]) + grey * (0.45 - 0.45 * level[..., None])
    return np.clip(base * (1 - alpha) + colour * alpha, 0, 255).astype(np.uint8)


def draw_boxes(image: np.ndarray, boxes: Sequence[LabelledBox]) -> np.ndarray:
    """Draw boxes with their labels, later ones on top: uint8 (H, W, 3) -> uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    line = max(2, round(min(height, width) / 200))
    font = _font(max(12, round(min(height, width) / 34)))
    for entry in boxes:
        x0, y0, x1, y1 = (float(v) for v in entry.box)
        if entry.dashed:
            _dashed(pen, (x0, y0, x1, y1), entry.colour, max(1, line // 2), 4 * line)
        else:
            pen.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_INK, width=line + 2)
            pen.rectangle((x0, y0, x1, y1), outline=entry.colour, width=line)
        if entry.text:
            _tag(pen, entry, font, width)
    return np.asarray(picture)


def spectrogram(sample: AudioSample, width: int, height: int) -> np.ndarray:
    """Log spectrogram of a cue, low frequencies at the bottom on a mel scale: uint8 (height, width, 3)."""
    mono = sample.data if sample.data.ndim == 1 else sample.data.mean(1)
    mono = resample_poly(mono, _STRIP_RATE, sample.sample_rate)
    mono = np.pad(mono, (0, max(0, _STRIP_WINDOW - len(mono))))
    _, _, spectrum = stft(mono, _STRIP_RATE, nperseg=_STRIP_WINDOW, noverlap=352, boundary=None, padded=True)
    mels = np.linspace(0, 2595 * np.log10(1 + _STRIP_RATE / 2 / 700), _STRIP_BANDS)
    hertz = 700 * (10 ** (mels / 2595) - 1)
    rows = np.interp(hertz, np.linspace(0, _STRIP_RATE / 2, len(spectrum)), np.arange(len(spectrum)))
    power = np.abs(spectrum[np.round(rows).astype(int)])
    decibels = 20 * np.log10(np.maximum(power, 1e-9) / max(float(power.max()), 1e-6))
    level = np.clip(1 - decibels / _STRIP_FLOOR_DB, 0, 1)[::-1]
    coloured = cv2.applyColorMap(np.uint8(level * 255), cv2.COLORMAP_MAGMA)[..., ::-1]
    return np.ascontiguousarray(cv2.resize(coloured, (width, height), interpolation=cv2.INTER_LINEAR))


def caption(width: int, height: int, text: str, detail: str = "") -> np.ndarray:
    """A line of text on paper, `detail` in grey behind it: uint8 (height, width, 3)."""
    picture = Image.new("RGB", (width, height), _PAPER)
    pen, font = ImageDraw.Draw(picture), _font(round(height * 0.55))
    top = round(height * 0.18)
    pen.text((round(height * 0.35), top), text, fill=_INK, font=font)
    if detail:
        pen.text(
            (round(height * 0.7) + pen.textlength(text, font=font), top),
            detail,
            fill=(110, 110, 116),
            font=font,
        )
    return np.asarray(picture)


def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one width below one another."""
    return np.concatenate(list(rows), 0)


def grid(tiles: Sequence[np.ndarray], columns: int, gap: int = 12) -> np.ndarray:
    """Pictures of one size in a grid on paper: uint8."""
    height, width = tiles[0].shape[:2]
    count_rows = -(-len(tiles) // columns)
    shape = (count_rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def _font(size: int) -> Font:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one small bitmap font only
        return ImageFont.load_default()


def _tag(pen: ImageDraw.ImageDraw, entry: LabelledBox, font: Font, width: int) -> None:
    left, top, right, bottom = pen.textbbox((0, 0), entry.text, font=font)
    pad = max(3, (bottom - top) // 3)
    x0, y0 = float(entry.box[0]), float(entry.box[1])
    tag_width, tag_height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(0.0, x0), max(0.0, width - tag_width))
    y = y0 - tag_height if y0 >= tag_height else y0
    pen.rectangle((x, y, x + tag_width, y + tag_height), fill=entry.colour)
    pen.text((x + pad - left, y + pad - top), entry.text, fill=_INK, font=font)


def _dashed(pen: ImageDraw.ImageDraw, box: tuple, colour: tuple[int, int, int], line: int, dash: int) -> None:
    x0, y0, x1, y1 = box
    for x in np.arange(x0, x1, 2 * dash):
        for y in (y0, y1):
            pen.line((x, y, min(x + dash, x1), y), fill=colour, width=line)
    for y in np.arange(y0, y1, 2 * dash):
        for x in (x0, x1):
            pen.line((x, y, x, min(y + dash, y1)), fill=colour, width=line)
