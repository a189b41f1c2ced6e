"""Made places for a robot on wheels, floor plans of upright faces: corridor, library, hall, wood, store, washroom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from surfaces import SURFACES


@dataclass
class World:
    """faces: each x0, y0, x1, y1 in metres; heights: metres; surfaces: numbers of SURFACES. ceiling: None outdoors."""

    kind: str
    width: float
    length: float
    floor: str
    ceiling: str | None
    ceiling_height: float = 3.0
    faces: list[tuple[float, float, float, float]] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    surfaces: list[int] = field(default_factory=list)

    def add(self, corners: list[tuple[float, float]], height: float, surface: str) -> None:
        """A closed outline of faces."""
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]]):
            self.faces.append((x0, y0, x1, y1))
            self.heights.append(height)
            self.surfaces.append(SURFACES.index(surface))

    def box(self, x: float, y: float, width: float, length: float, height: float, surface: str) -> None:
        """A box on the floor; x, y: its least corner."""
        self.add([(x, y), (x + width, y), (x + width, y + length), (x, y + length)], height, surface)

    def post(self, x: float, y: float, radius: float, height: float, surface: str) -> None:
        """A round post, as an octagon."""
        angles = np.arange(8) * np.pi / 4
        self.add(
            [(x + radius * float(np.cos(a)), y + radius * float(np.sin(a))) for a in angles], height, surface
        )


def corridor(rng: np.random.Generator) -> World:
    """Narrow and long, doors on both sides."""
    world = World("corridor", rng.uniform(1.6, 2.4), rng.uniform(14, 22), "tiles", "plaster", 2.6)
    world.box(0, 0, world.width, world.length, 2.6, "plaster")
    for side in (0.0, world.width - 0.12):
        for y in np.arange(rng.uniform(1, 3), world.length - 1.5, rng.uniform(2.5, 4.5)):
            world.box(side, float(y), 0.12, 0.95, 2.0, "door")
    return world


def library(rng: np.random.Generator) -> World:
    """Rows of shelves."""
    world = World("library", rng.uniform(8, 12), rng.uniform(9, 14), "planks", "plaster", 3.2)
    world.box(0, 0, world.width, world.length, 3.2, "plaster")
    aisle = rng.uniform(1.5, 2.1)
    for x in np.arange(aisle, world.width - aisle - 0.4, aisle + 0.5):
        world.box(float(x), 1.6, 0.5, world.length - 3.2, 2.2, "books")
    return world


def hall(rng: np.random.Generator) -> World:
    """Large, with two rows of columns."""
    world = World("hall", rng.uniform(12, 17), rng.uniform(16, 24), "stone", "stone", 6.0)
    world.box(0, 0, world.width, world.length, 6.0, "stone")
    radius = rng.uniform(0.3, 0.5)
    for y in np.arange(rng.uniform(2, 3.5), world.length - 1.5, rng.uniform(3, 4.5)):
        for x in (world.width * 0.27, world.width * 0.73):
            world.post(x, float(y), radius, 6.0, "plaster")
    return world


def wood(rng: np.random.Generator) -> World:
    """Trees, no walls."""
    world = World("wood", 24.0, 24.0, "grass", None)
    for x, y in rng.uniform(0, 24, (int(rng.integers(45, 80)), 2)):
        world.post(x, y, rng.uniform(0.12, 0.3), 9.0, "bark")
    return world


def store(rng: np.random.Generator) -> World:
    """Stacks of boxes of any size, in no order."""
    world = World("store", rng.uniform(9, 14), rng.uniform(11, 16), "concrete", "concrete", 4.5)
    world.box(0, 0, world.width, world.length, 4.5, "concrete")
    for _ in range(int(rng.integers(16, 26))):
        width, length = rng.uniform(0.6, 1.5, 2)
        x, y = rng.uniform(0.2, world.width - width - 0.2), rng.uniform(0.2, world.length - length - 0.2)
        world.box(x, y, width, length, rng.uniform(0.7, 2.6), "cardboard")
    return world


def washroom(rng: np.random.Generator) -> World:
    """Small and tiled, a row of cubicles."""
    world = World("washroom", rng.uniform(3.4, 4.6), rng.uniform(4.5, 7), "tiles", "plaster", 2.5)
    world.box(0, 0, world.width, world.length, 2.5, "tiles")
    for y in np.arange(0.9, world.length - 0.5, 1.0):
        world.box(0, float(y), 1.3, 0.06, 1.9, "door")
    return world


KINDS: dict[str, Callable[[np.random.Generator], World]] = {
    make.__name__: make for make in (corridor, library, hall, wood, store, washroom)
}
