"""Fit, or look at, a linear map that carries this model's embeddings into another CLIP's space.

examples:
  imagebind-node bridge fit --to owlvit:owlvit-base-patch32/ --out owlvit.safetensors
  imagebind-node bridge fit --to clip:clip-vit-base-patch32/ --centre sounds/*.wav --out clip.safetensors
  imagebind-node bridge show owlvit.safetensors

Both text towers encode the same captions (made from the names of classes that ship with the package, or
--captions FILE, one a line); the card says how well captions that were held out find their own counterpart.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.cli.options import add_model_arguments, load_model
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.bridge import Bridge


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("fit", "show"))
    parser.add_argument("file", nargs="?", type=Path, help="the bridge to show")
    parser.add_argument("--to", metavar="KIND:FOLDER", help="owlvit:FOLDER or clip:FOLDER")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write the bridge (.safetensors)")
    parser.add_argument("--method", choices=("ridge", "procrustes"), default="ridge")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="captions, one a line")
    parser.add_argument(
        "--centre", nargs="+", default=[], metavar="INPUT", help="varied sounds or pictures to centre by"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of held-out captions (default: 0)")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.bridge import Bridge

    if args.action == "show":
        if args.file is None:
            raise InvalidInputError("bridge show needs the file of a bridge")
        return _print(args, Bridge.load(args.file), args.file)
    if args.to is None or args.out is None:
        raise InvalidInputError("bridge fit needs --to KIND:FOLDER and --out FILE")
    if args.file is not None:
        raise InvalidInputError(f"bridge fit reads no file, got {args.file}: use --captions or --to")
    return _print(args, _fit(args), args.out)


def _fit(args: argparse.Namespace) -> Bridge:
    from imagebind_node.bridge.captions import class_names, generated_captions, read_captions
    from imagebind_node.bridge.fitting import fit_bridge
    from imagebind_node.bridge.targets import open_target, text_tower
    from imagebind_node.encoders.concept.weights import model_dir
    from imagebind_node.files import parse_input

    samples = [parse_input(text)[1] for text in args.centre]
    if args.captions:
        captions = read_captions(args.captions)
    else:
        captions = generated_captions(class_names(model_dir("concept")))
    target, encode_target = open_target(args.to, args.device)
    encoder = load_model(args, frozenset({Modality.TEXT}).union(sample.modality for sample in samples))
    bridge = fit_bridge(
        captions,
        text_tower(encoder)(captions),
        encode_target(captions),
        encoder.space,
        target,
        method=args.method,
        seed=args.seed,
    )
    for modality in sorted({sample.modality for sample in samples}):
        embeddings = encoder.encode(modality, [s for s in samples if s.modality is modality])
        bridge = bridge.with_mean(modality, [e for e in embeddings if not e.abstained])
    bridge.save(args.out)
    return bridge


def _print(args: argparse.Namespace, bridge: Bridge, path: Path) -> int:
    card = dict(bridge.card)
    centred = sorted(modality.value for modality in bridge.source_means)
    if args.json:
        ends = {
            name: {"space": end.id, "dim": end.dim}
            for name, end in (("source", bridge.source), ("target", bridge.target))
        }
        print_json("bridge", **{**card, **ends, "file": str(path), "centred": centred})
        return 0
    print(f"{path}: {bridge.source.id} ({bridge.source.dim}-d) -> {bridge.target.id} ({bridge.target.dim}-d)")
    print(f"method {card['method']}, centred for {', '.join(centred)}")
    print(f"{card['captions']['count']} captions, {card['captions']['held_out']} of them held out:")
    rows = [
        (when, *(card[when][key] for key in ("recall_at_1", "cosine", "centred_cosine")))
        for when in ("before", "after")
    ]
    print_table(("", "R@1", "cosine", "centred cosine"), rows)
    print(f"chance R@1: {card['chance_recall_at_1']:.5f}")
    return 0
