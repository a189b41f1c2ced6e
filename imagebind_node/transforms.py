"""Where frames were when: a tree of moving frames with a history, as tf2 keeps it (REP-105), without ROS."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

from imagebind_node.errors import InvalidInputError

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
_UNIT = 1e-2


class TransformError(InvalidInputError):
    """The pose of one frame in another is not known at that time."""


@dataclass(frozen=True)
class Transform:
    """Pose of a frame in another one. translation: x, y, z in metres; rotation: unit quaternion x, y, z, w.

    Raises InvalidInputError for numbers that are not finite or a quaternion whose norm is not 1 within 0.01.
    """

    translation: Vector = (0.0, 0.0, 0.0)
    rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        numbers = (*self.translation, *self.rotation)
        if not all(map(math.isfinite, numbers)) or abs(math.hypot(*self.rotation) - 1) > _UNIT:
            raise InvalidInputError(
                f"a transform needs finite metres and a unit quaternion, got {self.translation}, {self.rotation}"
            )

    def __matmul__(self, inner: Transform) -> Transform:
        """a_b @ b_c: the pose of c in a."""
        x, y, z = _rotate(self.rotation, inner.translation)
        u, v, w = self.translation
        return Transform((u + x, v + y, w + z), _unit(_multiply(self.rotation, inner.rotation)))

    def inverse(self) -> Transform:
        """The pose of the other frame in this one."""
        x, y, z, w = _unit(self.rotation)
        back = (-x, -y, -z, w)
        u, v, t = _rotate(back, self.translation)
        return Transform((-u, -v, -t), back)

    def toward(self, other: Transform, share: float) -> Transform:
        """Part of the way to `other`, share 0 to 1: linear in place, spherical (slerp) in rotation."""
        a, b = _unit(self.rotation), _unit(other.rotation)
        cosine = sum(p * q for p, q in zip(a, b))
        # A quaternion and its negative are the same rotation: take the shorter way.
        b, cosine = (b, cosine) if cosine >= 0 else ((-b[0], -b[1], -b[2], -b[3]), -cosine)
        angle = math.acos(min(1.0, cosine))
        near = math.sin(angle) < 1e-6
        first = 1 - share if near else math.sin((1 - share) * angle) / math.sin(angle)
        second = share if near else math.sin(share * angle) / math.sin(angle)
        x, y, z, w = (first * p + second * q for p, q in zip(a, b))
        u, v, t = ((1 - share) * p + share * q for p, q in zip(self.translation, other.translation))
        return Transform((u, v, t), _unit((x, y, z, w)))


def _multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def _rotate(rotation: Quaternion, vector: Vector) -> Vector:
    x, y, z, w = _unit(rotation)
    turned = _multiply(_multiply((x, y, z, w), (*vector, 0.0)), (-x, -y, -z, w))
    return turned[:3]


def _unit(q: Quaternion) -> Quaternion:
    norm = math.hypot(*q)
    return (q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm)


@dataclass
class _Edge:
    """A frame's poses in its parent, in order of time; one without stamp if it never moves."""

    parent: str
    fixed: bool
    stamps: list[int] = field(default_factory=list)
    poses: list[Transform] = field(default_factory=list)

    def at(self, stamp: int) -> Transform:
        after = bisect_left(self.stamps, stamp)
        if self.fixed or after == 0:
            return self.poses[0]
        if after == len(self.stamps):
            return self.poses[-1]
        before = after - 1
        share = (stamp - self.stamps[before]) / (self.stamps[after] - self.stamps[before])
        return self.poses[before].toward(self.poses[after], share)


class TransformBuffer:
    """The last `seconds` of every frame's movement. Not thread-safe."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._kept = seconds * 1e9
        self._edges: dict[str, _Edge] = {}

    def put(self, parent: str, child: str, stamp: int, pose: Transform, *, fixed: bool = False) -> None:
        """The pose of `child` in `parent` at `stamp` (nanoseconds), or for ever if it is `fixed`.

        A new parent starts a new history; so does a stamp that lies more than the kept time back, as when a recording
        is played again. Raises InvalidInputError for empty or equal names.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise InvalidInputError(f"a transform needs two different frames, got {parent!r} and {child!r}")
        edge = self._edges.get(child)
        if (
            edge is None
            or fixed
            or edge.fixed
            or edge.parent != parent
            or stamp < edge.stamps[-1] - self._kept
        ):
            self._edges[child] = _Edge(parent, fixed, [stamp], [pose])
            return
        place = bisect_left(edge.stamps, stamp)
        if place < len(edge.stamps) and edge.stamps[place] == stamp:
            edge.poses[place] = pose
            return
        edge.stamps.insert(place, stamp)
        edge.poses.insert(place, pose)
        old = bisect_left(edge.stamps, edge.stamps[-1] - self._kept)
        del edge.stamps[:old], edge.poses[:old]

    def lookup(self, target: str, source: str, stamp: int, tolerance: float = 0.0) -> Transform:
        """The pose of `source` in `target` at `stamp`, nanoseconds; interpolated.

        Where the history ends before that time, or begins after it, its nearest end is taken if it lies within
        `tolerance` seconds. Raises TransformError if it does not, or if nothing links the frames.
        """
        down, up = self._chain(source.lstrip("/")), self._chain(target.lstrip("/"))
        common = next((name for name in down if name in up), None)
        if common is None:
            raise TransformError(f"no transform links {source!r} to {target!r}")
        below, above = down[: down.index(common)], up[: up.index(common)]
        moving = [edge for name in (*below, *above) if not (edge := self._edges[name]).fixed]
        first = max((edge.stamps[0] for edge in moving), default=stamp)
        last = min((edge.stamps[-1] for edge in moving), default=stamp)
        nearest = min(max(stamp, first), last)
        if first > last or abs(nearest - stamp) > tolerance * 1e9:
            raise TransformError(
                f"the transforms from {source!r} to {target!r} have no time in common"
                if first > last
                else f"the transforms from {source!r} to {target!r} end {abs(nearest - stamp) / 1e9:.3f} s "
                f"{'before' if nearest < stamp else 'after'} the time asked for"
            )
        return self._pose(above, nearest).inverse() @ self._pose(below, nearest)

    def _chain(self, frame: str) -> list[str]:
        """The frame and its parents up to the root."""
        chain = [frame]
        while (edge := self._edges.get(chain[-1])) is not None:
            if edge.parent in chain:
                raise TransformError(f"the frames {', '.join(chain)} form a loop")
            chain.append(edge.parent)
        return chain

    def _pose(self, names: list[str], stamp: int) -> Transform:
        """The pose of the first frame in the parent of the last."""
        pose = Transform()
        for name in names:
            pose = self._edges[name].at(stamp) @ pose
        return pose
