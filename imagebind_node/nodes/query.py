"""What a detector looks for: the sounds of late, each a class that fades, or classes that a client has pinned."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from imagebind_msgs.msg import Embedding as EmbeddingMessage
from imagebind_msgs.msg import Query

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.cues import CueBoard
from imagebind_node.detection.detections import Detections
from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.contents import describe, embed_sum
from imagebind_node.nodes.conversions import embedding_message, header

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode

DEFAULT_LIVE_LABEL = "sound"
# A live cue closer than this (cosine) to the one before changes no box worth searching the old frame again.
_SAME_CUE = 0.98


class QueryState:
    """Owns the detector's classes; publishes `~/query` when they change. Thread-safe."""

    def __init__(self, node: ManagedNode, encoder: Any, detector: Any) -> None:
        self._node = node
        self._encoder = encoder
        self.classes: ClassEmbeddings = detector.new_classes()
        self.source = Query.SOURCE_LIVE
        self._lock = threading.RLock()
        self._pinned: dict[str, Embedding] = {}
        self._board = CueBoard()
        self._cues: dict[str, Embedding] = {}
        self._announced: dict[str, Embedding] = {}
        self._publisher = node.publisher(Query, "~/query", qos.STATE)

    def embeddings(self) -> dict[str, Embedding]:
        """The classes that are searched for now, by label; of sounds, the one heard last comes first."""
        with self._lock:
            return dict(self._pinned if self.source == Query.SOURCE_PINNED else self._cues)

    def hear(self, cue: Embedding, now: int) -> bool:
        """Take a live embedding of this detector's space; True if the newest frame should be searched again.

        now: nanoseconds. An embedding that abstained says that nothing new is heard: the cues fade.
        """
        with self._lock:
            self._board.hear(self._live_label(cue), cue, cue.stamp or now)
            return self._refresh(now)

    def expire(self, now: int) -> bool:
        """Forget cues that were not heard for `cue_timeout` s; True if one was in use."""
        with self._lock:
            return self._refresh(now)

    def fade(self, found: Detections, now: int) -> Detections:
        """Scores of what sounds led to, times the strength of their cues; those of pinned classes stay."""
        return found if self.source == Query.SOURCE_PINNED else self._board.fade(found, now)

    def _refresh(self, now: int) -> bool:
        """Take over the cues that are alive; True if that changes what is searched for."""
        board, settings = self._board, self._node.settings
        board.half_life, board.timeout = settings["cue_half_life"], settings["cue_timeout"]
        board.capacity = settings["max_cues"]
        before, self._cues = self._cues, {cue.label: cue.embedding for cue in board.cues(now)}
        if self.source != Query.SOURCE_LIVE:
            return False
        changed = before.keys() != self._cues.keys() or any(
            before[label] @ cue < _SAME_CUE for label, cue in self._cues.items()
        )
        if changed or self._cues:
            self._apply()
        if changed:
            self.publish()
        return changed

    def set(self, request: Any) -> str:
        """Do what a SetQuery request says; runs on the inference thread, as it encodes.

        Returns a line for the client. Raises an ImagebindNodeError and changes nothing if the request is bad.
        """
        if request.live:
            with self._lock:
                self.source = Query.SOURCE_LIVE
                self._pinned = {}
                self._apply()
                self.publish()
            return "following embedding/audio"
        label, pinned = self._make_class(request)
        with self._lock:
            classes = {**self._pinned, label: pinned} if request.add else {label: pinned}
            self.classes.replace(list(classes), list(classes.values()))
            self._pinned, self.source = classes, Query.SOURCE_PINNED
            self.publish()
        return f"searching for {', '.join(classes)}"

    def publish(self) -> None:
        """Announce the classes, and once more those that went away."""
        with self._lock:
            current = self.embeddings()
            gone = {label: e for label, e in self._announced.items() if label not in current}
            for label, embedding in (*gone.items(), *current.items()):
                self._publisher.publish(self._message(label, embedding, label in current))
            if not current and not gone:
                self._publisher.publish(Query(source=self.source, active=False))
            self._announced = current

    def _apply(self) -> None:
        classes = self.embeddings()
        self.classes.replace(list(classes), list(classes.values()))

    def _make_class(self, request: Any) -> tuple[str, Embedding]:
        if not request.terms:
            raise InvalidInputError("the query has no terms: give at least one content, or set live")
        embedding = embed_sum(request.terms, request.weights, self._encoder)
        names = [describe(content) for content in request.terms]
        return request.label.strip() or " + ".join(names), embedding

    def _live_label(self, cue: Embedding) -> str:
        chosen = self._node.settings["live_label"]
        return chosen or (cue.labels[0][0] if cue.labels else DEFAULT_LIVE_LABEL)

    def _message(self, label: str, embedding: Embedding, active: bool) -> Query:
        live = self.source == Query.SOURCE_LIVE
        return Query(
            header=header(embedding.stamp if live else 0, embedding.frame_id),
            label=label,
            source=self.source,
            active=active,
            confidence=float(embedding.confidence),
            embedding=embedding_message(embedding, "") if active else EmbeddingMessage(),
        )
