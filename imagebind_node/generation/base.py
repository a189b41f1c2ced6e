"""What every generator of pictures offers, and how to load the one that belongs to a model family."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import ImagebindNodeError, InvalidInputError

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

Progress = Callable[[int, int], None]
"""Called as progress(step, steps) after each step; what it raises ends the generation."""

MAX_COUNT = 16
MAX_STEPS = 1000
MAX_SEED = 2**32 - 1
BACKENDS = {
    "concept": "imagebind_node.generation.decoder",
    "imagebind_huge": "imagebind_node.generation.unclip",
}


class GenerationCancelled(ImagebindNodeError):  # noqa: N818 - somebody's wish, no error
    """Somebody asked to stop before the pictures were done."""


class PictureGenerator(ABC):
    """Draws pictures of what an embedding says. Safe to call from one thread at a time.

    space: embeddings that it understands; default_steps: of the sampler.
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
    ) -> list[np.ndarray]:
        """`count` pictures, uint8 (H, W, 3) RGB, of one embedding.

        seed 1 to 2^32 - 1: the same seed gives the same pictures on the same machine; 0: a random one. steps 0:
        `default_steps`. negative: words for what the pictures should not show. Raises InvalidInputError for a
        number out of range or an embedding without vector, SpaceMismatchError for one of another space.
        """
        return self.generate_each(
            [embedding] * check_count(count), seed=seed, steps=steps, negative=negative, progress=progress
        )

    def generate_each(
        self,
        embeddings: Sequence[Embedding],
        *,
        seed: int = 0,
        steps: int = 0,
        negative: str = "",
        same_noise: bool = False,
        progress: Progress | None = None,
    ) -> list[np.ndarray]:
        """One picture for each embedding. same_noise: all start from the same noise, for strips; else see above."""
        check_count(len(embeddings))
        if not 0 <= seed <= MAX_SEED:
            raise InvalidInputError(f"seed {seed} is outside 0 to {MAX_SEED}")
        if not 0 <= steps <= MAX_STEPS:
            raise InvalidInputError(f"{steps} steps are outside 1 to {MAX_STEPS}; 0 takes the model's own")
        for embedding in embeddings:
            self.space.require_same(embedding.space)
            if not embedding.vector.size:
                raise InvalidInputError(
                    "the query abstained and has no vector: there is nothing to draw, give a clearer one"
                )
        vectors = np.stack([embedding.vector for embedding in embeddings]).astype(np.float32)
        seed = seed or new_seed()
        return self._draw(vectors, seed, steps or self.default_steps, negative.strip(), same_noise, progress)

    @abstractmethod
    def _draw(
        self,
        vectors: np.ndarray,
        seed: int,
        steps: int,
        negative: str,
        same_noise: bool,
        progress: Progress | None,
    ) -> list[np.ndarray]:
        """vectors: float32 (N, dim), unit rows; returns N pictures, uint8 (H, W, 3)."""


def check_count(count: int) -> int:
    """`count`, if it is 1 to 16; raises InvalidInputError."""
    if not 1 <= count <= MAX_COUNT:
        raise InvalidInputError(f"{count} pictures asked for: ask for 1 to {MAX_COUNT}")
    return count


def new_seed() -> int:
    """A random seed, 1 to 2^32 - 1."""
    return secrets.randbelow(MAX_SEED) + 1


def generator_names() -> list[str]:
    """Model families that can draw."""
    return sorted(BACKENDS)


def load_generator(encoder: Encoder, **options: Any) -> PictureGenerator:
    """The generator for embeddings of `encoder`'s model family.

    options: of the backend, see decoder.load and unclip.load. Raises InvalidInputError if the family has none,
    ModelFileError for missing or damaged weights, MissingDependencyError without the extra `generate`.
    """
    if encoder.name not in BACKENDS:
        raise InvalidInputError(
            f"model {encoder.name!r} has no generator: use one of {', '.join(generator_names())}"
        )
    generator: PictureGenerator = import_module(BACKENDS[encoder.name]).load(encoder, **options)
    return generator
