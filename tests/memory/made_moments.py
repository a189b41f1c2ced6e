"""Made-up moments: unit vectors that look like embeddings (mixtures of a few class directions)."""

from __future__ import annotations

import numpy as np

from imagebind_node.embedding import Space
from imagebind_node.memory import Moment
from imagebind_node.samples import Modality

SPACE = Space("test space/1", 32)
START = 1_700_000_000_000_000_000
SECOND = 10**9
MODALITIES = (Modality.VISION, Modality.AUDIO, Modality.IMU)


def make_vectors(number: int, seed: int = 0, dim: int = SPACE.dim) -> np.ndarray:
    """Float32 (number, dim), unit rows."""
    vectors = np.random.default_rng(seed).standard_normal((number, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_moments(number: int, first: int = 0, **details: object) -> list[Moment]:
    """One moment a second, the modalities taking turns."""
    return [
        Moment(MODALITIES[i % 3], START + i * SECOND, frame_id="base_link", **details)
        for i in range(first, first + number)
    ]
