"""Learn classes from a few examples each, for `classify --few-shot` and the recognizer node.

FOLDER has one sub-folder a class, named after it, with pictures, sounds, videos or IMU tables. Class means need one
example a class; the linear probe is better from about four on.

example:
  imagebind-node learn my_things/ --out things.npz
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from imagebind_node.cli.options import add_model_arguments, load_model
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError

METHODS = {"means": "ClassMeans", "probe": "LinearProbe"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="one sub-folder a class")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.npz", help="where to save the classes"
    )
    parser.add_argument(
        "--method",
        choices=sorted(METHODS),
        default="means",
        help="class means, or a linear probe (extra `learn`)",
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from imagebind_node import recognition
    from imagebind_node.recognition.examples import encode_examples, find_examples

    if args.out.suffix != ".npz":
        raise InvalidInputError(f"--out {args.out}: the name must end in .npz")
    examples = find_examples(args.folder)
    encoder = load_model(args, {example.modality for example in examples})
    with tqdm(total=len(examples), unit="file", disable=not sys.stderr.isatty(), leave=False) as bar:
        found = encode_examples(examples, encoder, progress=lambda: bar.update() and None)
    model = getattr(recognition, METHODS[args.method]).fit(found.embeddings, found.labels)
    model.save(args.out)
    counts = Counter(found.labels)
    if args.json:
        print_json(
            "learn",
            model=encoder.name,
            method=args.method,
            file=str(args.out),
            classes=dict(counts),
            unreadable=[{"input": path, "reason": reason} for path, reason in found.unreadable],
        )
        return 0
    print_table(("class", "examples"), sorted(counts.items()))
    for path, reason in found.unreadable:
        print(f"left out {path}: {reason}")
    return 0
