"""Arguments that many commands share, and the model that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """--json and -v."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document on stdout; logs go to stderr"
    )
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="more log on stderr; -vv for everything"
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, where and how precisely, plus the output arguments."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", default="concept", help="concept (embedded default) or imagebind_huge")
    group.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    group.add_argument("--precision", default="fp32", help="fp32, bf16, fp16 (CUDA) or int8 (default: fp32)")
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights other than the model's own")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="architecture (JSON) that goes with --checkpoint"
    )
    group.add_argument(
        "--bound",
        action="append",
        default=[],
        type=_bound,
        metavar="DIR",
        help="a tower that was bound to the model's space, in addition; may be repeated",
    )
    group.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads (default: all cores)")
    add_output_arguments(parser)


def load_model(args: argparse.Namespace, modalities: Iterable[Modality] | None) -> Encoder:
    """The encoder that the arguments ask for, with only the towers of `modalities` (None: all)."""
    import torch

    from imagebind_node.encoders.base import load_encoder
    from imagebind_node.errors import InvalidInputError

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.config is not None:
        if args.checkpoint is None:
            raise InvalidInputError("--config describes the weights of --checkpoint: give both")
        if args.bound:
            raise InvalidInputError("--bound does not go with --config")
        from imagebind_node.encoders.imagebind.encoder import load_reference

        return load_reference(
            args.checkpoint,
            args.config,
            modalities=None if modalities is None else frozenset(modalities),
            device=args.device,
            precision=args.precision,
        )
    return load_encoder(
        args.model,
        checkpoint=args.checkpoint,
        modalities=modalities,
        device=args.device,
        precision=args.precision,
        bound=args.bound,
    )


def _bound(text: str) -> Path:
    """argparse type: a folder with a bound tower. Its card is read at once, for inputs may name its modality."""
    from imagebind_node.binding.bound import read_bound_card
    from imagebind_node.errors import ImagebindNodeError

    try:
        read_bound_card(text)
    except ImagebindNodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def positive_int(text: str) -> int:
    """argparse type: a whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def fraction(text: str) -> float:
    """argparse type: a number from 0 to 1."""
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def positive_float(text: str) -> float:
    """argparse type: a finite number above 0."""
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value
