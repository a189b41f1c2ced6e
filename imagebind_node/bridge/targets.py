"""Text towers that a bridge can lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Space, stack
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality, TextSample

CHUNK = 64
TextTower = Callable[[Sequence[str]], np.ndarray]


def text_tower(encoder: Encoder) -> TextTower:
    """The text tower of an encoder as a function: texts -> unit rows, float32 (N, dim)."""
    encoder.require(Modality.TEXT)

    def encode(texts: Sequence[str]) -> np.ndarray:
        chunks = [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]
        return np.concatenate(
            [stack(encoder.encode(Modality.TEXT, [TextSample(t) for t in chunk])) for chunk in chunks]
        )

    return encode


def open_target(description: str, device: str = "cpu") -> tuple[Space, TextTower]:
    """Space and text tower of `owlvit:FOLDER` or `clip:FOLDER` (folders in the format of `transformers`).

    Raises InvalidInputError for another description and what loading the model raises.
    """
    kind, _, folder = description.partition(":")
    if kind == "clip" and folder:
        from imagebind_node.encoders.clip import load_clip

        encoder = load_clip(Path(folder), device=device)
        return encoder.space, text_tower(encoder)
    if kind == "owlvit" and folder:
        from imagebind_node.detection.owlvit import load_owlvit

        detector = load_owlvit(checkpoint=folder, device=device)

        def encode(texts: Sequence[str]) -> np.ndarray:
            chunks = [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]
            return np.concatenate([detector.encode_texts(chunk) for chunk in chunks])

        return detector.own_space, encode
    raise InvalidInputError(f"a bridge leads to owlvit:FOLDER or clip:FOLDER, got {description!r}")
