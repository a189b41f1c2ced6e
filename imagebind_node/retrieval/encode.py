"""Encode one source: the work that runs in this process or in a Ray worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from imagebind_node.memory.moment import Moment
from imagebind_node.retrieval.files import Source
from imagebind_node.retrieval.pieces import Piece, cut

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

_BATCH = 32


@dataclass(frozen=True)
class Encoded:
    """moments and unit vectors float32 (N, dim) of one source; abstained: pieces without a vector."""

    moments: list[Moment]
    vectors: np.ndarray
    abstained: int


@dataclass(frozen=True)
class IndexOptions:
    """every: seconds between the frames of a video or bag; robot: written into every memory; pose_frame: fixed frame
    of the poses that bags with tf give."""

    every: float = 1.0
    robot: str = ""
    pose_frame: str = "map"


DEFAULTS = IndexOptions()


def encode_source(source: Source, encoder: Encoder, options: IndexOptions = DEFAULTS) -> Encoded:
    """Raises ImagebindNodeError if the source cannot be read. Modalities without a tower are left out."""
    moments: list[Moment] = []
    vectors: list[np.ndarray] = []
    abstained = 0
    for piece, embedding in _embeddings(source, encoder, options):
        if not embedding.vector.size:
            abstained += 1
            continue
        # Files were chosen by people, and a search only ranks them: weak ones are kept, and say so.
        moments.append(
            Moment.of(
                embedding,
                weak=True,
                source=piece.name,
                media=piece.media,
                robot=options.robot,
                pose=piece.pose,
            )
        )
        vectors.append(embedding.vector)
    rows = np.stack(vectors) if vectors else np.zeros((0, encoder.space.dim), np.float32)
    return Encoded(moments, rows, abstained)


def _embeddings(source: Source, encoder: Encoder, options: IndexOptions) -> Iterator:
    pieces = cut(source, encoder.window, options.every, options.pose_frame)
    pieces = (piece for piece in pieces if piece.sample.modality in encoder.modalities)
    while batch := list(islice(pieces, _BATCH)):
        by_modality: dict[str, list[Piece]] = {}
        for piece in batch:
            by_modality.setdefault(piece.sample.modality, []).append(piece)
        for modality, members in by_modality.items():
            yield from zip(members, encoder.encode(modality, [piece.sample for piece in members]))
