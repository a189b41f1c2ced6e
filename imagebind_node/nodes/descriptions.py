"""What ~/describe of the memory node does."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.bridge.captions import class_names
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.nodes.contents import embed_content
from imagebind_node.recognition.vocabulary import FILE, GrowingVocabulary, Vocabulary, read_texts
from imagebind_node.recognition.zero_shot import text_encoder
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder
    from imagebind_node.memory.store import MemoryStore
    from imagebind_node.streaming.scheduler import Scheduler

LANE = "vocabulary"
log = logging.getLogger(__name__)


class Descriptions:
    """Nearest texts, of the request's vocabulary or the node's own.

    The node's own comes with the model `concept`; another one is embedded a few texts at a time on the inference
    thread, so that searches go on meanwhile, and kept in `folder`: from activation on if its file was named, else
    with the first request that needs it.
    """

    def __init__(self, encoder: Encoder, vocabulary_file: str, folder: Path) -> None:
        """Raises InvalidInputError if the file cannot be read."""
        self._encoder = encoder
        self._named = bool(vocabulary_file)
        self._texts = read_texts(vocabulary_file) if self._named else class_names(model_dir("concept"))
        self._kept = folder / FILE
        self._vocabulary: Vocabulary | None = None
        self._growing: GrowingVocabulary | None = None
        self._error: Exception | None = None
        self._ready = threading.Event()
        self._scheduler: Scheduler | None = None

    def start(self, scheduler: Scheduler) -> None:
        """Work on this scheduler from now on."""
        self._scheduler = scheduler
        scheduler.add(LANE, 0.0, self._work)
        if self._named:
            self.prepare()

    def prepare(self) -> threading.Event:
        """Get the node's own vocabulary ready; the event is set once it is, or has failed."""
        if self._vocabulary is None:
            self._ready.clear()
            assert self._scheduler is not None
            self._scheduler.notify(LANE)
        return self._ready

    def _work(self) -> None:
        try:
            self._vocabulary = self._vocabulary or self._next_piece()
        except Exception as error:  # noqa: BLE001 - the request that waits for it gets it
            self._error, self._growing = error, None
            self._ready.set()
            return
        if self._vocabulary is None:
            assert self._scheduler is not None
            self._scheduler.notify(LANE)
        else:
            self._ready.set()

    def _next_piece(self) -> Vocabulary | None:
        space = self._encoder.space
        if self._growing is None:
            for path in (self._kept, model_dir("concept") / FILE):
                if (known := Vocabulary.load(path, self._texts, space)) is not None:
                    return known
            self._encoder.require(Modality.TEXT)
            self._growing = GrowingVocabulary(self._texts, space, text_encoder(self._encoder))
        grown = self._growing.grow()
        if grown is not None:
            self._growing = None
            try:
                grown.save(self._kept)
            except ImagebindNodeError as error:
                log.warning("the vocabulary has to be embedded again at the next start: %s", error)
        return grown

    def answer(self, request: Any, response: Any, store: MemoryStore) -> None:
        """Fill `response`; `prepare` must be over unless the request brings a vocabulary."""
        vocabulary, limit = self._vocabulary_of(request), request.limit or 5
        if request.id:
            known = store.get([request.id], with_vectors=True)
            if not known or known[0].vector is None:
                raise InvalidInputError(f"there is no memory {request.id!r}")
            best = vocabulary.nearest(known[0].vector, limit)
        else:
            best = vocabulary.describe(embed_content(request.content, self._encoder), limit)
            if not best:
                raise InvalidInputError("the content abstained: too little evidence to describe it")
        response.texts, response.scores = [text for text, _ in best], [score for _, score in best]

    def _vocabulary_of(self, request: Any) -> Vocabulary:
        if request.vocabulary:
            self._encoder.require(Modality.TEXT)
            return Vocabulary.encode(request.vocabulary, self._encoder.space, text_encoder(self._encoder))
        if self._vocabulary is None:
            assert self._error is not None
            raise self._error
        return self._vocabulary
