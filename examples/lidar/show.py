"""A picture of the made places: what the camera sees, and below it what the lidar sees from above.

python examples/lidar/show.py docs/pictures/made_places.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from simulator import BEAMS, HEIGHT, WIDTH, drive, scan, view
from worlds import KINDS

METRES = 6.0


def main() -> None:
    """Draw one column a kind of place."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    columns = []
    for number, make in enumerate(KINDS.values()):
        rng = np.random.default_rng(number)
        world = make(rng)
        pose = drive(world, 20, rng)[16]
        columns.append(np.concatenate([view(world, pose), from_above(scan(world, pose, rng))]))
    Image.fromarray(np.concatenate(columns, 1)).save(args.out)


def from_above(ranges: np.ndarray) -> np.ndarray:
    """uint8 (120, 160, 3): echoes within 6 m, the robot in the middle looking up."""
    picture = np.full((HEIGHT, WIDTH, 3), 24, np.uint8)
    seen = ranges < METRES
    angles, near = np.radians(np.arange(BEAMS) - 180)[seen], ranges[seen] * HEIGHT / 2 / METRES
    rows, across = HEIGHT / 2 - near * np.cos(angles), WIDTH / 2 - near * np.sin(angles)
    picture[rows.astype(int).clip(0, HEIGHT - 1), across.astype(int).clip(0, WIDTH - 1)] = 240, 228, 66
    picture[HEIGHT // 2 - 2 : HEIGHT // 2 + 3, WIDTH // 2 - 1 : WIDTH // 2 + 2] = 86, 180, 233
    return picture


if __name__ == "__main__":
    main()
