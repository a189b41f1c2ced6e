"""Puts samples, embeddings and detections into the entities that the view shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import rerun as rr

from imagebind_node.drawing import COLOURS
from imagebind_node.embedding import Embedding
from imagebind_node.samples import AudioSample, DepthSample, ImageSample, ThermalSample
from imagebind_node.view import layout
from imagebind_node.view.embedding_map import EmbeddingMap
from imagebind_node.view.found import Found
from imagebind_node.view.health import PartHealth
from imagebind_node.view.output import Output
from imagebind_node.view.pictures import heat_png, jpeg, millimetres, shrink, thermal_range
from imagebind_node.view.spectrogram import BANDS, RollingSpectrogram
from imagebind_node.view.words import health_text, query_text

_SPECTROGRAM_ROWS_PER_BAND = 4
# So that the viewer's grid and zoom, made for pixels, suit unit vectors.
_MAP_SCALE = 100.0
_MAP_FADE_SECONDS = 5.0
_KINDS = ("vision", "audio", "depth", "thermal", "imu", "fused")
_WHITE = (255, 255, 255)
# Labels come from the network: every one of them makes entities, which the viewer never forgets.
_MAX_LABELS = 64
_OTHER = "other"


class Drawer:
    """Draws into an `Output`. Belongs to one thread. Stamps are nanoseconds; 0 means now, by `clock`."""

    def __init__(
        self, output: Output, clock: Callable[[], int], *, side: int, sound_seconds: float, map_capacity: int
    ) -> None:
        """side: pixels to which pictures are scaled down; sound_seconds: length of the spectrogram."""
        self._out = output
        self._clock = clock
        self._side = side
        self._scale: float | None = None
        self._sound = RollingSpectrogram(sound_seconds)
        self._map = EmbeddingMap(map_capacity)
        self._queries: dict[str, Embedding] = {}
        self._found: Sequence[Found] = ()
        self._colours: dict[str, tuple[int, int, int]] = {}
        self._named: set[str] = set()
        self._health: dict[str, PartHealth] = {}

    def picture(self, sample: ImageSample) -> None:
        """The camera's picture."""
        small, self._scale = shrink(sample.data, self._side)
        image = rr.EncodedImage(contents=jpeg(small), media_type="image/jpeg", draw_order=-10)
        self._log(f"{layout.CAMERA}/picture", sample.stamp, image)

    def heat(self, stamp: int, heat: np.ndarray) -> None:
        """Where the query is similar: float (H, W) of the picture's size."""
        image = rr.EncodedImage(contents=heat_png(heat, self._side), media_type="image/png", draw_order=0)
        self._log(f"{layout.CAMERA}/heat", stamp, image)

    def boxes(self, stamp: int, found: Sequence[Found]) -> None:
        """All detections of one picture; those of the one before go away."""
        if self._scale is None:
            return
        self._found = found
        corners = np.array([f.box for f in found], np.float32).reshape(-1, 4) * self._scale
        colours = [self._colour(f.label) for f in found]
        boxes = rr.Boxes2D(
            array=corners,
            array_format=rr.Box2DFormat.XYXY,
            colors=colours,
            radii=rr.Radius.ui_points(2.0),
            draw_order=10,
        )
        # The viewer writes below things: below a box that may be outside of the picture, below its upper side never.
        labels = rr.Points2D(
            np.stack([corners[:, [0, 2]].mean(1), corners[:, 1]], 1),
            labels=[f"{f.label} {f.score:.2f}" + (f" #{f.track}" if f.track else "") for f in found],
            # The page is dark, and so is what a label stands on; dark colours could not be read.
            colors=_WHITE,
            radii=0.0,
            show_labels=True,
            draw_order=11,
        )
        self._log(f"{layout.CAMERA}/boxes", stamp, boxes)
        self._log(f"{layout.CAMERA}/labels", stamp, labels)
        self._write_query()

    def depth(self, sample: DepthSample) -> None:
        """Depth in metres; places without a measurement stay black."""
        small, _ = shrink(sample.data, self._side, nearest=True)
        self._log(f"{layout.DEPTH}/picture", sample.stamp, rr.DepthImage(millimetres(small), meter=1000.0))

    def thermal(self, sample: ThermalSample) -> None:
        """Counts or kelvin, coloured from the coldest to the hottest place."""
        small, _ = shrink(sample.data, self._side, nearest=True)
        values = small.astype(np.float32)
        low, high = thermal_range(values)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        image = rr.DepthImage(values, colormap="inferno", depth_range=(low, high))
        self._log(f"{layout.THERMAL}/picture", sample.stamp, image)

    def sound(self, blocks: Sequence[AudioSample]) -> None:
        """Blocks of sound, in order: the spectrogram moves on."""
        for block in blocks:
            self._sound.push(block)
        tall = self._sound.picture().repeat(_SPECTROGRAM_ROWS_PER_BAND, axis=0)
        height = BANDS * _SPECTROGRAM_ROWS_PER_BAND
        marks = self._sound.marks()
        lines = rr.LineStrips2D(
            [[(column, 0), (column, height)] for column, _ in marks],
            labels=[label for _, label in marks],
            colors=[self._colour(label) for _, label in marks],
            radii=rr.Radius.ui_points(1.0),
            draw_order=10,
        )
        image = rr.EncodedImage(contents=jpeg(tall), media_type="image/jpeg", draw_order=-10)
        self._log(f"{layout.SOUND}/spectrogram", self._sound.end, image)
        self._log(f"{layout.SOUND}/cues", self._sound.end, lines)

    def motion(self, stamps: np.ndarray, rows: np.ndarray) -> None:
        """Measurements (REP-145): stamps int64 (N,) ns, rows float (N, 6): m/s^2 x, y, z, rad/s x, y, z."""
        for i, values in enumerate(rows.T):
            axis = "xyz"[i % 3]
            entity = f"{layout.ACCELERATION if i < 3 else layout.TURN_RATE}/{axis}"
            self._name(entity, axis, COLOURS[i % 3])
            self._out.log_rows(entity, stamps, rr.Scalars.columns(scalars=values))

    def embedding(self, kind: str, embedding: Embedding) -> None:
        """A new embedding of a modality or "fused": its similarity to each query, its place, its cue mark."""
        if kind == "audio" and not embedding.abstained:
            self._sound.mark(embedding.stamp, embedding.labels[0][0] if embedding.labels else "sound")
        if kind != "fused":
            self._map.add(kind, embedding)
        if embedding.vector.size == 0:
            return
        for label, query in self._queries.items():
            if query.space == embedding.space:
                entity, shown = self._similarity_entity(kind, label)
                self._name(entity, f"{kind} to {shown}", _kind_colour(kind))
                self._log(entity, embedding.stamp, rr.Scalars(embedding @ query))

    def query(self, label: str, embedding: Embedding | None) -> None:
        """A class that is searched for from now on; with None, no longer."""
        if embedding is not None:
            self._queries[label] = embedding
        elif self._queries.pop(label, None) is not None:
            # Otherwise the plot would join what was before the break with what comes after it.
            for entity in {self._similarity_entity(kind, label)[0] for kind in _KINDS} & self._named:
                self._log(entity, 0, rr.Clear(recursive=False))
        self._write_query()

    def map(self) -> None:
        """The map of recent embeddings; the newer the brighter."""
        points = self._map.points(self._queries)
        if not points:
            return
        # Negative radii are in points of the screen, whatever the zoom.
        drawn = rr.Points2D(
            [(_MAP_SCALE * point.x, _MAP_SCALE * point.y) for point in points],
            colors=[
                (*_kind_colour(p.kind), round(255 * max(0.15, 0.5 ** (p.age / _MAP_FADE_SECONDS))))
                for p in points
            ],
            labels=[p.label if p.kind == "query" else "" for p in points],
            radii=-np.array([6.0 if p.kind == "query" else 3.0 for p in points]),
            show_labels=True,
        )
        self._log(f"{layout.MAP}/recent", 0, drawn)

    def health(self, parts: Sequence[PartHealth]) -> None:
        """What the nodes say of themselves."""
        for part in parts:
            if len(self._health) < _MAX_LABELS or part.part in self._health:
                self._health[part.part] = part
                self._figure(layout.LATENCY, part.part, part.latency)
                self._figure(layout.DROPS, part.part, part.drops)
        text = health_text(list(self._health.values()))
        self._log(layout.HEALTH, 0, rr.TextDocument(text, media_type=rr.MediaType.MARKDOWN))

    def _figure(self, origin: str, part: str, value: float | None) -> None:
        if value is not None:
            entity = f"{origin}/{_entity_name(part)}"
            self._name(entity, part)
            self._log(entity, 0, rr.Scalars(value))

    def _similarity_entity(self, kind: str, label: str) -> tuple[str, str]:
        """Entity of a line in the plot, and the label to show; labels beyond the limit share one."""
        self._colour(label)
        shown = label if label in self._colours else _OTHER
        return f"{layout.SIMILARITY}/{kind}/{_entity_name(shown)}", shown

    def _name(self, entity: str, name: str, colour: tuple[int, int, int] | None = None) -> None:
        """Give a line of a plot its name, once."""
        if entity not in self._named:
            self._named.add(entity)
            self._out.log_always(entity, rr.SeriesLines(names=name, colors=colour))

    def _write_query(self) -> None:
        text = query_text({label: q.confidence for label, q in self._queries.items()}, self._found)
        self._log(layout.QUERY, 0, rr.TextDocument(text, media_type=rr.MediaType.MARKDOWN))

    def _colour(self, label: str) -> tuple[int, int, int]:
        if label not in self._colours and len(self._colours) < _MAX_LABELS:
            self._colours[label] = COLOURS[len(self._colours) % len(COLOURS)]
        return self._colours.get(label, COLOURS[0])

    def _log(self, entity: str, stamp: int, what: Any) -> None:
        self._out.log(entity, stamp or self._clock(), what)


def _kind_colour(kind: str) -> tuple[int, int, int]:
    return COLOURS[_KINDS.index(kind) % len(COLOURS)] if kind in _KINDS else _WHITE


def _entity_name(text: str) -> str:
    """Any text as one part of an entity path."""
    return "".join(c if c.isalnum() else "_" for c in text) or "_"
