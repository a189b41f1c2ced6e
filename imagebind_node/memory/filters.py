"""Which memories a search, a count or a deletion is about, independent of the database."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.moment import Moment
from imagebind_node.samples import Modality, parse_modality


@dataclass(frozen=True)
class Place:
    """A sphere: `center` x, y, z and `radius` in metres, in the fixed frame `frame_id` (usually "map")."""

    center: tuple[float, float, float]
    radius: float
    frame_id: str = "map"

    def __post_init__(self) -> None:
        if len(self.center) != 3 or not all(map(math.isfinite, self.center)):
            raise InvalidInputError(f"the centre of a place needs 3 finite coordinates, got {self.center}")
        if not (self.radius > 0 and math.isfinite(self.radius)):
            raise InvalidInputError(f"the radius of a place must be greater than 0 m, got {self.radius}")

    def holds(self, moment: Moment) -> bool:
        """True if the moment's pose is known in this frame and lies inside."""
        pose = moment.pose
        return (
            pose is not None
            and pose.frame_id == self.frame_id
            and math.dist(pose.position, self.center) <= self.radius
        )


@dataclass(frozen=True)
class Match:
    """A payload field equals one of `values`."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """A numeric payload field lies in [low, high]; None is open."""

    field: str
    low: float | None
    high: float | None


Condition = Match | Range


@dataclass(frozen=True)
class MemoryFilter:
    """All conditions must hold; what is left out does not matter.

    since, until: nanoseconds, inclusive (databases compare them as float64: to 256 ns for dates of this century);
    modalities, robots, labels, sources, frame_ids: any one of the names; place: only moments with a pose inside.
    """

    since: int | None = None
    until: int | None = None
    modalities: tuple[Modality, ...] = ()
    robots: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    frame_ids: tuple[str, ...] = ()
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InvalidInputError(
                f"time filter ends before it begins (since {self.since}, until {self.until})"
            )
        for name in ("robots", "labels", "sources", "frame_ids"):
            if isinstance(getattr(self, name), str):
                raise InvalidInputError(f"filter {name!r} takes a list of names, not one string")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        modalities: Iterable[str | Modality] = self.modalities
        object.__setattr__(self, "modalities", tuple(parse_modality(m) for m in modalities))

    def conditions(self, *, time: bool = True) -> list[Condition]:
        """As conditions on payload fields; the place as its bounding box. Without `time` the time range is left out."""
        found: list[Condition] = []
        if time and (self.since is not None or self.until is not None):
            found.append(Range("stamp", self.since, self.until))
        if self.modalities:
            found.append(Match("modality", tuple(m.value for m in self.modalities)))
        for field, values in (
            ("robot", self.robots),
            ("labels", self.labels),
            ("source", self.sources),
            ("frame_id", self.frame_ids),
        ):
            if values:
                found.append(Match(field, values))
        if self.place is not None:
            found.append(Match("pose.frame_id", (self.place.frame_id,)))
            for axis, middle in zip("xyz", self.place.center):
                found.append(Range(f"pose.{axis}", middle - self.place.radius, middle + self.place.radius))
        return found

    def overlaps(self, first: int, last: int) -> bool:
        """True if moments between the stamps `first` and `last` can match."""
        return (self.since is None or last >= self.since) and (self.until is None or first <= self.until)

    def covers(self, first: int, last: int) -> bool:
        """True if every moment between `first` and `last` passes the time range."""
        return (self.since is None or first >= self.since) and (self.until is None or last <= self.until)
