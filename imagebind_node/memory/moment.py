"""One remembered moment: everything about it but its vector, and how it is written to a database."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality, parse_modality

# Fixed for ever: identifiers of the same moment must agree between robots, restarts and uploads (RFC 9562, UUIDv5).
_NAMESPACE = uuid.UUID("6f1d7a52-58f5-5a7e-9d9c-2a4c7a0d3b11")


@dataclass(frozen=True)
class Pose:
    """Where the sensor was. `position`: x, y, z in metres in `frame_id`; `orientation`: quaternion x, y, z, w."""

    frame_id: str
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        numbers = (*self.position, *self.orientation)
        if len(self.position) != 3 or len(self.orientation) != 4 or not all(map(math.isfinite, numbers)):
            raise InvalidInputError(
                f"a pose needs 3 finite coordinates and a quaternion of 4, got {self.position}, {self.orientation}"
            )


@dataclass(frozen=True)
class Moment:
    """What is known about one embedding in memory.

    modality; stamp: nanoseconds, end of the window for audio and IMU; frame_id: of the sensor; robot: who
    remembers; window: seconds; confidence: 0 to 1; abstained: too little evidence to act upon; labels:
    (name, score) pairs, best first; source: topic or file (with the offset inside it) that it came from;
    media: thumbnail or clip, relative to the memory's folder, or a path; pose: of the sensor at `stamp`,
    None if unknown.
    """

    modality: Modality
    stamp: int
    frame_id: str = ""
    robot: str = ""
    window: float = 0.0
    confidence: float = 1.0
    abstained: bool = False
    labels: tuple[tuple[str, float], ...] = ()
    source: str = ""
    media: str = ""
    pose: Pose | None = None

    @classmethod
    def of(cls, embedding: Embedding, *, weak: bool = False, **details: Any) -> Moment:
        """The moment of an embedding; `details` are further fields.

        Raises InvalidInputError if the embedding abstained; with `weak` only if it has no vector.
        """
        if embedding.vector.size == 0 or (embedding.abstained and not weak):
            raise InvalidInputError(
                f"the {embedding.modality} embedding abstained: there is nothing to remember"
            )
        return cls(
            modality=embedding.modality,
            stamp=embedding.stamp,
            frame_id=embedding.frame_id,
            window=embedding.window,
            confidence=embedding.confidence,
            abstained=embedding.abstained,
            labels=embedding.labels,
            **details,
        )

    def id(self, space: Space) -> str:
        """Deterministic UUID: the same moment stored twice, by anybody, is one memory."""
        key = "\x1f".join(
            (space.id, self.robot, self.modality.value, str(self.stamp), self.frame_id, self.source)
        )
        return str(uuid.uuid5(_NAMESPACE, key))

    def payload(self) -> dict[str, Any]:
        """As a JSON document; empty fields are left out."""
        document: dict[str, Any] = {"modality": self.modality.value, "stamp": int(self.stamp)}
        for name in ("frame_id", "robot", "source", "media"):
            if getattr(self, name):
                document[name] = getattr(self, name)
        if self.window:
            document["window"] = float(self.window)
        if self.confidence != 1.0:
            document["confidence"] = float(self.confidence)
        if self.abstained:
            document["abstained"] = True
        if self.labels:
            document["labels"] = [name for name, _ in self.labels]
            document["label_scores"] = [float(score) for _, score in self.labels]
        if self.pose is not None:
            x, y, z = self.pose.position
            document["pose"] = {
                "frame_id": self.pose.frame_id,
                "x": float(x),
                "y": float(y),
                "z": float(z),
                "orientation": [float(q) for q in self.pose.orientation],
            }
        return document

    @classmethod
    def from_payload(cls, document: dict[str, Any]) -> Moment:
        """Inverse of `payload`."""
        pose = document.get("pose")
        return cls(
            modality=parse_modality(document["modality"]),
            stamp=int(document["stamp"]),
            frame_id=document.get("frame_id", ""),
            robot=document.get("robot", ""),
            window=document.get("window", 0.0),
            confidence=document.get("confidence", 1.0),
            abstained=document.get("abstained", False),
            labels=tuple(zip(document.get("labels", ()), document.get("label_scores", ()))),
            source=document.get("source", ""),
            media=document.get("media", ""),
            pose=pose
            and Pose(pose["frame_id"], (pose["x"], pose["y"], pose["z"]), tuple(pose["orientation"])),
        )


@dataclass(frozen=True, eq=False)
class Hit:
    """One answer of a search. `score`: cosine, -1 to 1; `vector`: float32 (dim,) if it was asked for."""

    id: str
    score: float
    moment: Moment
    vector: np.ndarray | None = None
