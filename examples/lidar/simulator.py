"""What a robot's lidar and camera see in a made place: the same rays cast against the same faces."""

from __future__ import annotations

import numpy as np
from surfaces import METRES, SIDE, SURFACES, all_tiles
from worlds import World

BEAMS, RANGE_MIN, RANGE_MAX, RANGE_NOISE = 360, 0.1, 12.0, 0.01
WIDTH, HEIGHT, CAMERA_HEIGHT = 160, 120, 1.0
CLEARANCE = 0.35


def cast(world: World, position: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays from `position` (2,) along `directions` (R, 2) meet the faces: distances (R, S) in units of the
    direction's length, infinite where they pass, and how far along each face, metres."""
    faces = np.array(world.faces)
    start, along = faces[:, :2] - position, faces[:, 2:] - faces[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        across = _cross(directions[:, None], along[None])
        distance = _cross(start, along)[None] / across
        share = _cross(start[None], directions[:, None]) / across
    met = (distance > 1e-3) & (share >= 0) & (share <= 1)
    return np.where(met, distance, np.inf), share * np.linalg.norm(along, axis=1)


def scan(world: World, pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 (360,) metres, one beam a degree from -180 in the robot's frame, infinite without an echo (REP-117)."""
    angles = pose[2] + np.radians(np.arange(BEAMS) - 180)
    distance, _ = cast(world, pose[:2], np.stack([np.cos(angles), np.sin(angles)], 1))
    nearest = distance.min(1) + rng.normal(0, RANGE_NOISE, BEAMS)
    return np.where(nearest < RANGE_MAX, np.maximum(nearest, RANGE_MIN), np.inf).astype(np.float32)


def view(world: World, pose: np.ndarray) -> np.ndarray:
    """uint8 (120, 160, 3): a camera 1 m above the floor that looks ahead, 90 degrees wide."""
    focal, middle = WIDTH / 2, (HEIGHT - 1) / 2
    right = (np.arange(WIDTH) - (WIDTH - 1) / 2) / focal
    ahead, aside = np.array([np.cos(pose[2]), np.sin(pose[2])]), np.array([np.sin(pose[2]), -np.cos(pose[2])])
    directions = ahead + right[:, None] * aside
    down = np.arange(HEIGHT)[:, None] - middle
    picture = _background(world, pose[:2], directions, down / focal)
    distance, along = cast(world, pose[:2], directions)
    order = np.argsort(distance, 1)[:, :12]
    heights, surfaces = np.array(world.heights), np.array(world.surfaces)
    columns = np.arange(WIDTH)
    for k in reversed(range(order.shape[1])):
        face = order[:, k]
        depth = distance[columns, face]
        with np.errstate(invalid="ignore"):
            height = CAMERA_HEIGHT - down * depth / focal
        shown = np.isfinite(depth) & (height >= 0) & (height <= heights[face])
        colour = _looked_up(surfaces[face], along[columns, face], height)
        light = 0.55 + 0.45 / (1 + 0.12 * depth)
        picture = np.where(shown[..., None], colour * light[None, :, None], picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def drive(world: World, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` poses x, y, heading along straight legs between free points, float64 (count, 3)."""
    poses: list[tuple[float, float, float]] = []
    position = _free_point(world, rng)
    while len(poses) < count:
        target = _free_point(world, rng)
        leg = target - position
        length = float(np.linalg.norm(leg))
        if length < 1.0 or cast(world, position, leg[None])[0].min() < 1 + CLEARANCE / length:
            continue
        heading = float(np.arctan2(leg[1], leg[0]))
        steps = int(length / 0.6) + 1
        for share in np.arange(steps) / steps:
            x, y = position + share * leg
            poses.append((float(x), float(y), heading + float(rng.normal(0, 0.15))))
        position = target
    return np.array(poses[:count])


def _background(world: World, position: np.ndarray, directions: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Floor below the horizon, ceiling or sky above. slope: (H, 1), down is positive."""
    rows = np.broadcast_to(slope, (HEIGHT, WIDTH))
    above = CAMERA_HEIGHT - world.ceiling_height if world.ceiling else -np.inf
    depth = np.where(rows > 0, CAMERA_HEIGHT / rows, above / rows)
    depth = np.where(np.isfinite(depth), depth, 1e3)
    place = position + directions[None] * depth[..., None]
    floor = _looked_up(np.full(rows.shape, SURFACES.index(world.floor)), place[..., 0], place[..., 1])
    if world.ceiling is None:
        top = np.array([135.0, 185.0, 235.0]) + 60 * (1 + np.clip(rows, -1, 0))[..., None]
    else:
        top = _looked_up(np.full(rows.shape, SURFACES.index(world.ceiling)), place[..., 0], place[..., 1])
    light = 0.55 + 0.45 / (1 + 0.12 * depth)
    return np.where(rows[..., None] > 0, floor, top) * np.where(rows > 0, light, 0.9)[..., None]


def _looked_up(surface: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colours, float (..., 3), of points x, y (metres) on surfaces."""
    scale = SIDE / METRES
    x, y = (np.where(np.isfinite(v), v, 0) * scale for v in (x, y))
    surface, column, row = np.broadcast_arrays(surface, x.astype(int) % SIDE, (-y).astype(int) % SIDE)
    return all_tiles()[surface, row, column].astype(float)


def _free_point(world: World, rng: np.random.Generator) -> np.ndarray:
    angles = np.radians(np.arange(0, 360, 10))
    around = np.stack([np.cos(angles), np.sin(angles)], 1)
    while True:
        point = rng.uniform((CLEARANCE, CLEARANCE), (world.width - CLEARANCE, world.length - CLEARANCE))
        distance, _ = cast(world, point, around)
        if distance.min() > CLEARANCE and not _inside(world, distance):
            return point


def _inside(world: World, distance: np.ndarray) -> bool:
    """Whether a point lies in a thing: a ray out of a closed outline crosses it an odd number of times.

    The walls of a room are such an outline, too, and the point is within them.
    """
    walls = 0 if world.ceiling is None else 1
    return bool((np.isfinite(distance[7]).sum() - walls) % 2)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
