"""Model cards, fetching, checking and exporting models.

examples:
  imagebind-node models list
  imagebind-node models pull imagebind_huge --accept-licence
  imagebind-node models verify concept
  imagebind-node models export audio audio.onnx
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import add_model_arguments, add_output_arguments, load_model
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError

if TYPE_CHECKING:
    from tqdm import tqdm

_MIB = 1024**2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="cards, and what is on this machine")
    listing.set_defaults(act=_list)
    pull = actions.add_parser("pull", help="fetch a model; an interrupted download is resumed")
    pull.add_argument("name", metavar="MODEL")
    pull.add_argument("--accept-licence", action="store_true", help="you have read the licence and accept it")
    pull.add_argument(
        "--url", help="fetch from here, for example a mirror in your network; checked all the same"
    )
    pull.add_argument(
        "--repository", metavar="OWNER/NAME", help="another repository, for models from the Hugging Face Hub"
    )
    pull.set_defaults(act=_pull)
    verify = actions.add_parser("verify", help="sizes and sha256 of a model's files")
    verify.add_argument("name", metavar="MODEL", nargs="?", help="default: every model that is here")
    verify.set_defaults(act=_verify)
    export = actions.add_parser("export", help="one tower of an ImageBind as ONNX, compared with PyTorch")
    export.add_argument("modality", metavar="MODALITY", help="vision, text, audio, depth, thermal or imu")
    export.add_argument("out", type=Path, metavar="FILE.onnx")
    add_model_arguments(export)
    export.set_defaults(act=_export, model="imagebind_huge")
    for action in (listing, pull, verify):
        add_output_arguments(action)


def run(args: argparse.Namespace) -> int:
    return args.act(args)


def _list(args: argparse.Namespace) -> int:
    from imagebind_node.model_store import list_models

    statuses = list_models()
    if args.json:
        print_json(
            "models_list",
            models=[
                {
                    "name": status.card.name,
                    "space": status.card.space,
                    "dim": status.card.dim,
                    "state": status.state,
                    "bytes": status.bytes,
                    "bundled": status.card.bundled,
                    "licence": status.card.licence,
                    "source": status.card.source,
                    "files": [str(status.card.path(file)) for file in status.card.files],
                }
                for status in statuses
            ],
        )
        return 0
    print_table(
        ("model", "space", "dim", "state", "MiB", "licence"),
        [
            (s.card.name, s.card.space, s.card.dim, s.state, round(s.bytes / _MIB), s.card.licence)
            for s in statuses
        ],
    )
    for status in statuses:
        if status.state != "ready" and not status.card.bundled:
            print(f"{status.card.name}: imagebind-node models pull {status.card.name} --accept-licence")
    return 0


def _pull(args: argparse.Namespace) -> int:
    from imagebind_node.model_store import licence_text, pull

    print(licence_text(args.name), file=sys.stderr)
    with _bar() as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        paths = pull(
            args.name,
            accept_licence=args.accept_licence,
            url=args.url,
            repository=args.repository,
            progress=show,
        )
    if args.json:
        print_json("models_pull", model=args.name, files=[str(path) for path in paths])
    else:
        print("\n".join(str(path) for path in paths))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from imagebind_node.model_store import list_models, verify

    names = [args.name] if args.name else [s.card.name for s in list_models() if s.state != "missing"]
    checked: dict[str, Any] = {name: verify(name) for name in names}
    if args.json:
        print_json("models_verify", models=checked)
    else:
        for name, lines in checked.items():
            print(f"{name}: ok")
            print("\n".join(f"  {line}" for line in lines))
    return 0


def _export(args: argparse.Namespace) -> int:
    from imagebind_node.samples import parse_modality

    modality = parse_modality(args.modality)
    if args.out.suffix != ".onnx":
        raise InvalidInputError(f"{args.out}: name a file that ends in .onnx")
    encoder = load_model(args, [modality])

    from imagebind_node.encoders.imagebind.encoder import ImageBindEncoder
    from imagebind_node.encoders.imagebind.export import export_onnx

    if not isinstance(encoder, ImageBindEncoder):
        raise InvalidInputError(f"model {encoder.name!r} has no ONNX export: use --model imagebind_huge")
    path = export_onnx(encoder, modality, args.out)
    if args.json:
        print_json("models_export", model=encoder.name, modality=modality.value, file=str(path))
    else:
        print(f"{path}: {modality} tower of {encoder.name}, equal to PyTorch")
    return 0


def _bar() -> tqdm:
    from tqdm import tqdm

    return tqdm(unit="B", unit_scale=True, unit_divisor=1024, disable=not sys.stderr.isatty(), leave=False)
