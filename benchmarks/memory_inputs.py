"""What the memory benchmarks store and ask: made vectors, moments and filters, the same in every process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from imagebind_node.embedding import Space
from imagebind_node.memory import MemoryFilter, Moment
from imagebind_node.samples import Modality

DIM = 384
SPACE = Space("benchmark", DIM)
START = 1_700_000_000_000_000_000
STEP = 100_000_000
CHUNK = 10_000
MODALITIES = [Modality.VISION] * 5 + [Modality.AUDIO] * 3 + [Modality.DEPTH, Modality.IMU]


def make_vectors(kind: str, chunk: int, number: int = CHUNK) -> np.ndarray:
    """Float32 (number, DIM), unit rows; the same for the same chunk."""
    rng = np.random.default_rng([7, chunk])
    noise = rng.standard_normal((number, DIM)).astype(np.float32)
    if kind == "mixture":
        classes = np.random.default_rng(1).standard_normal((1500, DIM)).astype(np.float32)
        classes /= np.linalg.norm(classes, axis=1, keepdims=True)
        weights = rng.dirichlet(np.full(5, 0.5), number).astype(np.float32)
        noise *= 0.02
        for k in range(5):
            noise += weights[:, k, None] * classes[rng.integers(0, len(classes), number)]
    return noise / np.linalg.norm(noise, axis=1, keepdims=True)


def make_moments(first: int, number: int) -> list[Moment]:
    """Ten moments a second from two sensors, with labels and a thumbnail reference."""
    return [
        Moment(
            MODALITIES[i % 10],
            START + i * STEP,
            frame_id="camera",
            robot="robot",
            labels=(("thing", 0.5),),
            media="media/00/thumbnail.jpg",
        )
        for i in range(first, first + number)
    ]


def filters(moments: int) -> dict[str, MemoryFilter]:
    """Time filters of three widths in the middle of the history, and others."""
    found = {"no filter": MemoryFilter()}
    for share in (0.01, 0.1, 0.5):
        first = START + int(moments * (0.7 - share)) * STEP
        found[f"time {share:.0%}"] = MemoryFilter(since=first, until=first + int(moments * share) * STEP)
    found["time 10% and modality"] = MemoryFilter(
        since=found["time 10%"].since, until=found["time 10%"].until, modalities=("audio",)
    )
    found["modality"] = MemoryFilter(modalities=("audio",))
    return found


def spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds at the median, the 95th percentile and the worst."""
    p50, p95, worst = np.percentile(np.asarray(seconds) * 1e3, [50, 95, 100])
    return {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "max_ms": round(worst, 2), "n": len(seconds)}
