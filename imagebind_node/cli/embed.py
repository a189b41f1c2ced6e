"""Embed files and words.

INPUT is a file (its type tells the modality), MODALITY:PATH (image, video, audio, depth, thermal, imu),
text:WORDS, or a sum of them: 'image:a.jpg + 0.5 * text:snow'.

examples:
  imagebind-node embed dog.jpg bark.wav text:"a barking dog"
  imagebind-node embed depth:depth.png --json
  imagebind-node embed --checkpoint weights.safetensors --config weights.json --npz tensors.npz --out out.npz
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.cli.options import add_model_arguments, load_model
from imagebind_node.cli.output import embedding_fields, heard, print_json, print_table
from imagebind_node.embedding import Embedding
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.samples import Modality, parse_modality

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="file, MODALITY:PATH or text:WORDS")
    parser.add_argument(
        "--npz",
        type=Path,
        metavar="FILE",
        help="model inputs that are already preprocessed, each (batch, ...), named by modality "
        "(vision, vision_video, text, audio, depth, thermal, imu)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write the vectors to this .npz, by input or array name"
    )
    parser.add_argument(
        "--scaled",
        action="store_true",
        help="with --npz: exactly what the original network returns, scaled instead of normalised",
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if bool(args.inputs) == (args.npz is not None):
        raise InvalidInputError("give either INPUTs or --npz FILE")
    if args.scaled and args.npz is None:
        raise InvalidInputError("--scaled goes with --npz: embeddings of inputs are normalised")
    if args.npz is not None:
        return _embed_tensors(args)
    from imagebind_node.query import parse_query

    queries = [parse_query(text) for text in args.inputs]
    encoder = load_model(args, frozenset().union(*(query.modalities for query in queries)))
    embeddings = [query.embed(encoder) for query in queries]
    if args.out is not None:
        _save(args.out, {t: e.vector for t, e in zip(args.inputs, embeddings) if e.vector.size})
    if args.json:
        pairs = zip(args.inputs, embeddings)
        print_json("embed", model=encoder.name, embeddings=[embedding_fields(t, e) for t, e in pairs])
        return 0
    rows = [
        (text, e.modality.value, "abstained" if e.abstained else "", e.confidence, heard(e), _start(e))
        for text, e in zip(args.inputs, embeddings)
    ]
    print(f"space {encoder.space.id}, {encoder.space.dim} dimensions")
    print_table(("input", "modality", "", "confidence", "recognised", "vector"), rows)
    return 0


def _embed_tensors(args: argparse.Namespace) -> int:
    from imagebind_node.formats.arrays import read_arrays

    arrays = read_arrays(args.npz, "model inputs")
    modalities = {name: _modality_of(name) for name in arrays}
    encoder = load_model(args, set(modalities.values()))
    forward = encoder.forward
    if args.scaled:
        if not hasattr(encoder, "forward_scaled"):
            raise InvalidInputError(f"model {encoder.name!r} has no scaled outputs: leave out --scaled")
        forward = encoder.forward_scaled
    vectors = {}
    for name, array in arrays.items():
        encoder.require(modalities[name])
        vectors[name] = _forward(forward, modalities[name], name, array)
    if args.out is not None:
        _save(args.out, vectors)
    if args.json:
        batches = [
            {"input": name, "modality": modalities[name].value, "vectors": rows}
            for name, rows in vectors.items()
        ]
        print_json("embed_tensors", model=encoder.name, space=encoder.space.id, batches=batches)
        return 0
    print_table(
        ("array", "modality", "shape", "embeddings"),
        [(n, modalities[n].value, tuple(arrays[n].shape), tuple(v.shape)) for n, v in vectors.items()],
    )
    return 0


def _forward(forward: Callable[..., Tensor], modality: Modality, name: str, array: np.ndarray) -> np.ndarray:
    import torch

    tensor = torch.from_numpy(array)
    try:
        with torch.inference_mode():
            batch = tensor.float() if tensor.is_floating_point() else tensor
            return forward(modality, batch).float().cpu().numpy()
    except ImagebindNodeError:
        raise
    except (RuntimeError, IndexError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInputError(
            f"array {name!r} of shape {array.shape} and type {array.dtype} does not fit the "
            f"{modality} tower: {reason}"
        ) from error


def _modality_of(name: str) -> Modality:
    try:
        return parse_modality(name.split("_")[0])
    except InvalidInputError as error:
        raise InvalidInputError(f"array {name!r}: {error}") from None


def _save(path: Path, vectors: dict[str, np.ndarray]) -> None:
    import numpy as np

    try:
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **vectors)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from None
    logger.info("wrote %d arrays to %s", len(vectors), path)


def _start(embedding: Embedding) -> str:
    values = " ".join(f"{value:+.3f}" for value in embedding.vector[:4])
    return f"[{values} ...]" if values else "none"
