"""The index job on many machines: Ray Data hands sources to actors, each with the model loaded once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from imagebind_node.errors import ImagebindNodeError, InvalidInputError, MissingDependencyError
from imagebind_node.memory.moment import Moment
from imagebind_node.retrieval.encode import DEFAULTS, Encoded, IndexOptions, encode_source
from imagebind_node.retrieval.files import Source
from imagebind_node.retrieval.job import Result, Worker


class EncodeSources:
    """Ray actor: batches of sources in, JSON moments and vectors out. `model`: arguments of load_encoder."""

    def __init__(self, model: dict[str, Any], options: IndexOptions) -> None:
        import torch

        from imagebind_node.encoders.base import load_encoder

        torch.set_num_threads(1)
        self._encoder = load_encoder(**model)
        self._options = options

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        out: dict[str, list] = {"source": [], "moments": [], "vectors": [], "abstained": [], "error": []}
        for text in batch["source"]:
            source = Source(**json.loads(text))
            moments, vectors, abstained, problem = "[]", b"", 0, ""
            try:
                encoded = encode_source(source, self._encoder, self._options)
                moments = json.dumps([moment.payload() for moment in encoded.moments])
                vectors, abstained = encoded.vectors.tobytes(), encoded.abstained
            except ImagebindNodeError as error:
                problem = " ".join(str(error).split()) or type(error).__name__
            for name, value in zip(out, (text, moments, vectors, abstained, problem)):
                out[name].append(value)
        return out


def ray_worker(
    model: dict[str, Any], dim: int, options: IndexOptions = DEFAULTS, *, workers: int = 2
) -> Worker:
    """Encode on a Ray cluster: the one in RAY_ADDRESS, else `workers` processes of this machine.

    Paths must be readable on every machine. Raises MissingDependencyError without Ray.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            "indexing on a cluster needs Ray: pip install 'imagebind_node[ray]'"
        ) from error
    if workers < 1:
        raise InvalidInputError(f"the number of workers must be 1 or more, got {workers}")

    def work(sources: Sequence[Source]) -> Iterator[Result]:
        if not sources:
            return
        if not ray.is_initialized():
            ray.init(
                num_cpus=None if _has_address() else workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [{"source": json.dumps(asdict(source))} for source in sources]
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), 4 * workers)).map_batches(
            EncodeSources,
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
            fn_constructor_kwargs={"model": model, "options": options},
        )
        for row in data.iter_rows():
            source = Source(**json.loads(row["source"]))
            if row["error"]:
                yield source, InvalidInputError(row["error"])
                continue
            moments = [Moment.from_payload(entry) for entry in json.loads(row["moments"])]
            vectors = np.frombuffer(row["vectors"], np.float32).reshape(-1, dim)
            yield source, Encoded(moments, vectors, int(row["abstained"]))

    return work


def _has_address() -> bool:
    import os

    return bool(os.environ.get("RAY_ADDRESS"))
