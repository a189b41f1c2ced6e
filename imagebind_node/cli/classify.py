"""Zero-shot recognition: which of your labels fits the input best?

Labels are words, or inputs of any modality (audio:PATH, image:PATH). The probabilities are
softmax(cosine / temperature) over the labels given, so they say which label fits best, not whether any fits.

example:
  imagebind-node classify bark.wav --labels dog,cat,train
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imagebind_node.cli.options import add_model_arguments, load_model, positive_float, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError

# ImageBind trains its text pairs at a temperature of 0.01 to 0.07; concept vectors are a little flatter.
DEFAULT_TEMPERATURE = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="file, MODALITY:PATH, text:WORDS or a sum of them"
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--labels", metavar="A,B,C", help="labels, separated by commas")
    group.add_argument("--labels-file", type=Path, metavar="FILE", help="labels, one a line")
    parser.add_argument(
        "--prompt", default="{}", metavar="TEXT", help="text around a label, such as 'a photo of a {}'"
    )
    parser.add_argument("--temperature", type=positive_float, default=DEFAULT_TEMPERATURE, metavar="T")
    parser.add_argument("--top", type=positive_int, metavar="K", help="show the K best labels (default: all)")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from imagebind_node.embedding import stack
    from imagebind_node.query import parse_query

    labels = _labels(args)
    if "{}" not in args.prompt:
        raise InvalidInputError(f"--prompt {args.prompt!r} has no {{}} to put the label in")
    inputs = [parse_query(text) for text in args.inputs]
    classes = [parse_query(label, words=args.prompt) for label in labels]
    encoder = load_model(args, frozenset().union(*(query.modalities for query in [*inputs, *classes])))
    matrix = stack([query.embed(encoder) for query in classes])
    results = []
    for text, query in zip(args.inputs, inputs):
        embedding = query.embed(encoder)
        ranked = []
        if embedding.vector.size:
            embedding.space.require_same(encoder.space)
            cosines = matrix @ embedding.vector
            logits = (cosines - cosines.max()) / args.temperature
            shares = np.exp(logits) / np.exp(logits).sum()
            order = np.argsort(-cosines, kind="stable")[: args.top]
            ranked = [
                {"label": labels[i], "probability": float(shares[i]), "cosine": float(cosines[i])}
                for i in order
            ]
        results.append({"input": text, "abstained": embedding.abstained, "labels": ranked})
    if args.json:
        print_json("classify", model=encoder.name, temperature=args.temperature, results=results)
        return 0
    for result in results:
        print(result["input"] + (" (abstained: too little evidence)" if result["abstained"] else ""))
        rows = [(r["label"], r["probability"], r["cosine"]) for r in result["labels"]]
        print_table(("  label", "probability", "cosine"), [(f"  {row[0]}", *row[1:]) for row in rows])
    return 0


def _labels(args: argparse.Namespace) -> list[str]:
    if args.labels_file is not None:
        from imagebind_node.files import read_text

        found = read_text(args.labels_file).data.splitlines()
    else:
        found = args.labels.split(",")
    labels = [label.strip() for label in found if label.strip()]
    if not labels:
        raise InvalidInputError("no labels given: write --labels dog,cat,train")
    repeated = {label for label in labels if labels.count(label) > 1}
    if repeated:
        raise InvalidInputError(f"label given twice: {', '.join(sorted(repeated))}")
    return labels
