"""Made surfaces: square tiles of 2 x 2 m, uint8 (64, 64, 3), for the walls, things and floors of the simulator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SIDE, METRES = 64, 2.0
SURFACES = ("plaster", "books", "stone", "bark", "cardboard", "tiles", "planks", "grass", "concrete", "door")


@lru_cache(maxsize=1)
def all_tiles() -> np.ndarray:
    """uint8 (number of SURFACES, 64, 64, 3)."""
    return np.stack([_tile(name) for name in SURFACES])


def _tile(name: str) -> np.ndarray:
    rng = np.random.default_rng(SURFACES.index(name))
    row, column = np.mgrid[:SIDE, :SIDE]
    colour, joint = np.zeros((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE), bool)
    if name == "plaster":
        colour[:] = 225, 218, 200
    elif name == "books":
        spines = rng.integers(40, 220, (4, 32, 3))
        colour[:] = spines[row // 16, column // 2]
        joint = row % 16 < 2
    elif name in ("stone", "cardboard", "tiles"):
        base = {"stone": (150, 140, 125), "cardboard": (185, 145, 95), "tiles": (235, 240, 245)}[name]
        high, wide = {"stone": (16, 32), "cardboard": (32, 32), "tiles": (8, 8)}[name]
        shifted = column + (wide // 2) * (row // high % 2 if name == "stone" else 0)
        colour[:] = base
        colour *= rng.uniform(0.85, 1.1, (64, 64))[row // high, shifted // wide][..., None]
        joint = (row % high == 0) | (shifted % wide == 0)
    elif name in ("bark", "planks", "door"):
        base = {"bark": (95, 70, 50), "planks": (160, 110, 65), "door": (120, 70, 40)}[name]
        wide = {"bark": 3, "planks": 8, "door": 32}[name]
        colour[:] = base
        colour *= rng.uniform(0.7, 1.2, 64)[column // wide][..., None]
        joint = column % wide == 0
    else:
        colour[:] = (85, 130, 55) if name == "grass" else (140, 140, 138)
    grain = {"grass": 30, "bark": 18, "concrete": 10, "stone": 10}.get(name, 5)
    colour[joint] *= 0.6
    return np.clip(colour + rng.normal(0, grain, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
