"""What a detector looks for: the live cue, or classes that a client has pinned."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from imagebind_msgs.msg import Embedding as EmbeddingMessage
from imagebind_msgs.msg import Query

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.embedding import Embedding, combine
from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.contents import describe, embed_content
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
        self._cue: Embedding | None = None
        self._cue_label = ""
        self._announced: dict[str, Embedding] = {}
        self._publisher = node.publisher(Query, "~/query", qos.STATE)

    def embeddings(self) -> dict[str, Embedding]:
        """The classes that are searched for now, by label."""
        with self._lock:
            if self.source == Query.SOURCE_PINNED:
                return dict(self._pinned)
            return {} if self._cue is None else {self._cue_label: self._cue}

    def hear(self, cue: Embedding) -> bool:
        """Take a live embedding of this detector's space; True if the newest frame should be searched again."""
        with self._lock:
            before, self._cue = self._cue, None if cue.abstained else cue
            label_before = self._cue_label
            if self._cue is not None:
                self._cue_label = self._live_label(cue)
            if self.source != Query.SOURCE_LIVE:
                return False
            self._apply()
            if before is None or self._cue is None:
                changed = before is not self._cue
            else:
                changed = label_before != self._cue_label or before @ self._cue < _SAME_CUE
            if changed:
                self.publish()
            return changed

    def expire(self, now: int, timeout: float) -> bool:
        """Forget a live cue that is older than `timeout` s; True if it was in use."""
        with self._lock:
            if self._cue is None or self._cue.stamp == 0 or now - self._cue.stamp <= timeout * 1e9:
                return False
            self._cue = None
            if self.source != Query.SOURCE_LIVE:
                return False
            self._apply()
            self.publish()
            return True

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
        if len(request.weights) not in (0, len(request.terms)):
            raise InvalidInputError(f"{len(request.weights)} weights for {len(request.terms)} terms")
        weights = [float(weight) for weight in request.weights] or None
        if weights is not None and not np.isfinite(weights).all():
            raise InvalidInputError("need one finite weight for each term")
        if weights is not None and not np.any(weights):
            raise InvalidInputError("all weights are 0: nothing is left to search for")
        embeddings = [embed_content(content, self._encoder) for content in request.terms]
        names = [describe(content) for content in request.terms]
        for name, embedding in zip(names, embeddings):
            if embedding.abstained:
                raise InvalidInputError(
                    f"too little evidence in {name!r} to search for it: give a clearer one"
                )
        label = request.label.strip() or " + ".join(names)
        return label, embeddings[0] if weights is None and len(embeddings) == 1 else combine(
            embeddings, weights
        )

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
