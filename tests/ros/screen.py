"""What a screenshot shows: where a known picture is on it, a box in its colour, words."""

from __future__ import annotations

import shutil
import subprocess

import cv2
import numpy as np

from imagebind_node.drawing import COLOURS


def missing_programs() -> list[str]:
    """Programs that a test of the page needs and this machine lacks."""
    return [name for name in ("chromium", "chromedriver", "tesseract") if shutil.which(name) is None]


def locate(picture: np.ndarray, screen: np.ndarray) -> np.ndarray | None:
    """Where `picture` is shown, scaled but not turned: (x, y, factor) in pixels of the screen, or None.

    By ORB features and RANSAC, so that boxes and heat maps may cover some of it.
    """
    orb = cv2.ORB_create(4000)
    (points, words), (there, screen_words) = (
        orb.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None) for image in (picture, screen)
    )
    if words is None or screen_words is None:
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(words, screen_words)
    if len(matches) < 20:
        return None
    source = np.float32([points[m.queryIdx].pt for m in matches])
    target = np.float32([there[m.trainIdx].pt for m in matches])
    found, inliers = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=3.0)
    if found is None or inliers.sum() < 20:
        return None
    factor, turn = found[0, 0], found[1, 0]
    return np.array([*found[:, 2], factor]) if abs(turn) < 0.02 * factor else None


def outline(screen: np.ndarray, box: np.ndarray, tolerance: int = 4) -> tuple[float, tuple[int, int, int]]:
    """How much of each side of `box` (x0, y0, x1, y1) is drawn: the share of the worst side, and in which colour.

    A point counts if within `tolerance` pixels across the side there is the colour.
    """
    x0, y0, x1, y1 = (round(float(v)) for v in box)
    across, along = np.arange(-tolerance, tolerance + 1), np.linspace(0.03, 0.97, 60)
    xs, ys = np.round(x0 + along * (x1 - x0)).astype(int), np.round(y0 + along * (y1 - y0)).astype(int)
    sides = [(xs[:, None], y + across) for y in (y0, y1)] + [(x + across, ys[:, None]) for x in (x0, x1)]
    height, width = screen.shape[:2]
    best = (0.0, COLOURS[0])
    for colour in COLOURS:
        shares = []
        for columns, rows in sides:
            columns, rows = np.broadcast_arrays(np.clip(columns, 0, width - 1), np.clip(rows, 0, height - 1))
            apart = np.abs(screen[rows, columns].astype(int) - colour).max(-1)
            shares.append(float((apart.min(1) < 40).mean()))
        best = max(best, (min(shares), colour))
    return best


def words(screen: np.ndarray, colour: tuple[int, int, int]) -> str:
    """Readings of one line of text by Tesseract, in lower case: by its likeness to `colour`, by brightness, by channel.

    The line lies half transparent on a picture, so that no single reading always succeeds.
    """
    apart = np.abs(screen.astype(np.float32) - colour).max(-1)
    readings = [np.uint8(255 * np.clip(apart / 60, 0, 1)), cv2.cvtColor(screen, cv2.COLOR_RGB2GRAY)]
    return "\n".join(_read(plane) for plane in (*readings, *np.moveaxis(screen, 2, 0)))


def page_text(screen: np.ndarray) -> str:
    """What Tesseract reads anywhere on an ordinary page, in lower case."""
    return _read(cv2.cvtColor(screen, cv2.COLOR_RGB2GRAY), scale=2, segmentation=11)


def _read(plane: np.ndarray, scale: int = 4, segmentation: int = 7) -> str:
    large = cv2.resize(plane, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    png = cv2.imencode(".png", large)[1].tobytes()
    command = ["tesseract", "stdin", "stdout", "--psm", str(segmentation)]
    done = subprocess.run(command, input=png, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf8", "replace").lower()
