"""What every generator of pictures offers, and how to load the one that belongs to a model family."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.generation.options import require_options

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

Progress = Callable[[int, int], None]
"""Called as progress(step, steps) after each step; what it raises ends the generation."""

MAX_COUNT = 64
MAX_STEPS = 500  # more draws no better, and schedulers of 1000 training steps overrun at 1000
MAX_SEED = 2**32 - 1
BACKENDS = {
    "concept": "imagebind_node.generation.decoder",
    "imagebind_huge": "imagebind_node.generation.unclip_files",
}


class GenerationCancelled(ImagebindNodeError):  # noqa: N818 - somebody's wish, no error
    """Somebody asked to stop before the pictures were done."""


@dataclass(frozen=True)
class Picture:
    """A generated picture. pixels: uint8 (H, W, 3) RGB; seed: draws it again; withheld: blackened as unsafe."""

    pixels: np.ndarray
    seed: int
    withheld: bool = False


class PictureGenerator(ABC):
    """Draws pictures of what an embedding says, one after another. Safe to call from one thread at a time.

    name: of the model; space: embeddings that it understands; default_steps: of its sampler.
    """

    name: str
    space: Space
    default_steps: int

    def generate(
        self,
        embedding: Embedding,
        *,
        count: int = 1,
        seed: int = 0,
        steps: int = 0,
        negative: str = "",
        progress: Progress | None = None,
    ) -> list[Picture]:
        """`count` (1 to 64) pictures of one embedding, with the seeds `seed`, `seed` + 1, ...

        seed 1 to 2^32 - 1: the same seed gives the same picture on the same machine, whatever the count; 0: a random
        one. steps 1 to 500; 0: `default_steps`. negative: words for what the pictures should not show. Raises
        InvalidInputError for a number out of range or an embedding that abstained, SpaceMismatchError for one of
        another space.
        """
        check_count(count)
        first = seed or new_seed()
        seeds = [next_seed(first, index) for index in range(count)]
        return self._generate([embedding] * count, seeds, steps, negative, progress)

    def generate_strip(
        self,
        embeddings: Sequence[Embedding],
        *,
        seed: int = 0,
        steps: int = 0,
        negative: str = "",
        progress: Progress | None = None,
    ) -> list[Picture]:
        """One picture for each embedding, all from the same seed, so that only the embedding changes them."""
        check_count(len(embeddings))
        seeds = [seed or new_seed()] * len(embeddings)
        return self._generate(embeddings, seeds, steps, negative, progress)

    def _generate(
        self,
        embeddings: Sequence[Embedding],
        seeds: Sequence[int],
        steps: int,
        negative: str,
        progress: Progress | None,
    ) -> list[Picture]:
        if not 1 <= seeds[0] <= MAX_SEED:
            raise InvalidInputError(f"seed {seeds[0]} is outside 0 to {MAX_SEED}")
        if not 0 <= steps <= MAX_STEPS:
            raise InvalidInputError(f"{steps} steps are outside 1 to {MAX_STEPS}; 0 takes the model's own")
        for embedding in embeddings:
            self.space.require_same(embedding.space)
            if embedding.abstained:
                raise InvalidInputError(
                    "there is too little evidence in the query to draw it (silence, a blank picture): give another"
                )
        steps = steps or self.default_steps
        pictures = []
        for index, (embedding, seed) in enumerate(zip(embeddings, seeds)):

            def report(step: int, done: int = index * steps) -> None:
                if progress is not None:
                    progress(done + min(step, steps), len(embeddings) * steps)

            # One at a time: memory for one picture only, and each depends on nothing but its seed.
            pictures.append(self._draw(embedding.vector, seed, steps, negative.strip(), report))
        return pictures

    @abstractmethod
    def _draw(
        self, vector: np.ndarray, seed: int, steps: int, negative: str, progress: Callable[[int], None]
    ) -> Picture:
        """vector: float32 (dim,), unit length; progress is called with 1 to `steps`."""


def check_count(count: int) -> int:
    """`count`, if it is 1 to 64; raises InvalidInputError."""
    if not 1 <= count <= MAX_COUNT:
        raise InvalidInputError(f"{count} pictures asked for: ask for 1 to {MAX_COUNT}")
    return count


def new_seed() -> int:
    """A random seed, 1 to 2^32 - 1."""
    return secrets.randbelow(MAX_SEED) + 1


def next_seed(seed: int, index: int) -> int:
    """The seed of the picture number `index` (from 0) of a series: `seed` + index, starting over at 1."""
    return seed if index == 0 else (seed + index - 1) % MAX_SEED + 1


def load_generator(encoder: Encoder, **options: Any) -> PictureGenerator:
    """The generator for embeddings of `encoder`'s model family.

    options: of the backend, see decoder.load and unclip_files.load. Raises InvalidInputError if the family has none or
    does not take an option, ModelFileError for missing or damaged weights, MissingDependencyError without the extra
    `generate`.
    """
    require_options(encoder.name, options)
    generator: PictureGenerator = import_module(BACKENDS[encoder.name]).load(encoder, **options)
    return generator
