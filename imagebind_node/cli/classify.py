"""Zero-shot recognition: which of your labels fits the input best?

The probabilities are softmax(cosine / temperature) over the labels given, so they say which label fits best, not
whether any fits; a class set with `unknown_cosine` also has "unknown".

With --few-shot the classes were learnt from examples, by `imagebind-node learn`.

examples:
  imagebind-node classify bark.wav --labels dog,cat,train
  imagebind-node classify kitchen.jpg --class-set config/class_sets/home.yaml --top 3
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.cli.options import add_model_arguments, load_model, positive_float, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.recognition import ClassSet, ZeroShotClassifier
    from imagebind_node.recognition.few_shot import FewShotClassifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="file, MODALITY:PATH, text:WORDS or a sum of them"
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--labels", metavar="A,B,C", help="labels, separated by commas")
    group.add_argument(
        "--class-set", type=Path, metavar="FILE", help="labels with synonyms and prompts, YAML"
    )
    group.add_argument("--few-shot", type=Path, metavar="FILE.npz", help="classes saved by `learn`")
    parser.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help="sentence around a label, such as 'a photo of a {}'; repeat for an ensemble (default: by modality)",
    )
    parser.add_argument(
        "--temperature", type=positive_float, metavar="T", help="default: the class set's, else 0.1"
    )
    parser.add_argument("--top", type=positive_int, metavar="K", help="show the K best labels (default: all)")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.query import parse_query
    from imagebind_node.recognition import ClassSet, ZeroShotClassifier
    from imagebind_node.recognition.zero_shot import DEFAULT_TEMPERATURE, text_encoder

    classes = _classes(args)
    inputs = [parse_query(text) for text in args.inputs]
    named = isinstance(classes, ClassSet)
    towers = frozenset([Modality.TEXT] if named else []).union(*(query.modalities for query in inputs))
    encoder = load_model(args, towers)
    classifier: FewShotClassifier | ZeroShotClassifier
    if isinstance(classes, ClassSet):
        classifier = ZeroShotClassifier(classes, encoder.space, text_encoder(encoder))
        temperature = classes.temperature or DEFAULT_TEMPERATURE
    else:
        classifier, temperature = classes, None
    top = args.top or len(classes.labels) + 1
    results = []
    for text, query in zip(args.inputs, inputs):
        found = classifier.recognise(query.embed(encoder), top)
        ranked = [
            {"label": label, "probability": share, "cosine": cosine}
            for label, share, cosine in zip(found.labels, found.probabilities, found.cosines)
        ]
        results.append({"input": text, "abstained": found.abstained, "labels": ranked})
    if args.json:
        print_json("classify", model=encoder.name, temperature=temperature, results=results)
        return 0
    for result in results:
        print(result["input"] + (" (abstained: too little evidence)" if result["abstained"] else ""))
        # Classes that were learnt have no cosines: the column is left out.
        width = 3 if named else 2
        rows = [(f"  {r['label']}", r["probability"], r["cosine"])[:width] for r in result["labels"]]
        print_table(("  label", "probability", "cosine")[:width], rows)
    return 0


def _classes(args: argparse.Namespace) -> ClassSet | FewShotClassifier:
    from imagebind_node.recognition import read_class_set
    from imagebind_node.recognition.class_set import from_labels
    from imagebind_node.recognition.few_shot import load_few_shot
    from imagebind_node.recognition.prompts import check_templates

    if args.few_shot is not None:
        if args.prompt or args.temperature:
            raise InvalidInputError("--prompt and --temperature are for names of classes, not for --few-shot")
        return load_few_shot(args.few_shot)
    if args.class_set is not None:
        class_set = read_class_set(args.class_set)
    else:
        labels = [label.strip() for label in args.labels.split(",") if label.strip()]
        if not labels:
            raise InvalidInputError("no labels given: write --labels dog,cat,train")
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise InvalidInputError(f"label given twice: {', '.join(repeated)}")
        class_set = from_labels(labels)
    if args.prompt:
        templates = check_templates(tuple(args.prompt))
        class_set = replace(class_set, templates=dict.fromkeys(Modality, templates))
    return class_set if args.temperature is None else replace(class_set, temperature=args.temperature)
