"""Labelled examples as people keep them: a folder with one sub-folder a label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.embedding import Embedding
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.files import modality_of, parse_input
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder


@dataclass(frozen=True)
class Example:
    """label: name of the sub-folder; path: a picture, sound, video or IMU table in it."""

    label: str
    path: Path
    modality: Modality


@dataclass
class Encoded:
    """embeddings of unit vectors with a label each; unreadable: [(path, reason)], silent files among them."""

    embeddings: list[Embedding] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find_examples(folder: Path) -> list[Example]:
    """Files in the sub-folders of `folder`, in order; those whose type does not tell the modality are left out.

    Raises InvalidInputError if there are none.
    """
    found: list[Example] = []
    for path in sorted(folder.glob("*/**/*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") for part in parts):
            continue
        try:
            found.append(Example(parts[0], path, modality_of(path)))
        except InvalidInputError:
            continue
    if not found:
        raise InvalidInputError(f"{folder} has no examples: make a sub-folder a label, with its files inside")
    return found


def encode_examples(
    examples: Sequence[Example], encoder: Encoder, progress: Callable[[], None] | None = None
) -> Encoded:
    """Embed examples one after the other. Raises InvalidInputError if none can be read."""
    found = Encoded()
    for example in examples:
        try:
            embedding = encoder.encode(example.modality, [parse_input(str(example.path))[1]])[0]
            if embedding.vector.size == 0:
                raise InvalidInputError("too little evidence, as in silence")
        except ImagebindNodeError as error:
            found.unreadable.append((str(example.path), " ".join(str(error).split())))
        else:
            found.embeddings.append(embedding)
            found.labels.append(example.label)
        if progress is not None:
            progress()
    if not found.embeddings:
        raise InvalidInputError(f"none of {len(examples)} examples can be read: {found.unreadable[0][1]}")
    return found
