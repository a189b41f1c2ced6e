"""Fit the probabilities of a class set to labelled files: its temperature and, with --others, the unknown class.

FOLDER has one sub-folder a class, named as in the class set; OTHERS holds files of none of the classes, in
sub-folders of any name. The result is a class set for `classify --class-set` and the recognizer node.

example:
  imagebind-node calibrate recordings/ --class-set home.yaml --others street/ --out home_fitted.yaml
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import add_model_arguments, load_model
from imagebind_node.cli.output import print_json
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.recognition import ClassSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="one sub-folder a class")
    parser.add_argument(
        "--class-set", type=Path, metavar="FILE", help="YAML; default: the names of the sub-folders"
    )
    parser.add_argument("--others", type=Path, metavar="FOLDER", help="files of none of the classes")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.yaml", help="the fitted class set")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.recognition import ZeroShotClassifier
    from imagebind_node.recognition.calibration import calibrate
    from imagebind_node.recognition.class_set import write_class_set
    from imagebind_node.recognition.examples import encode_examples, find_examples
    from imagebind_node.recognition.zero_shot import text_encoder

    examples = find_examples(args.folder)
    others = [] if args.others is None else find_examples(args.others)
    class_set = _class_set(args, [example.label for example in examples])
    encoder = load_model(args, {Modality.TEXT, *(example.modality for example in [*examples, *others])})
    classifier = ZeroShotClassifier(class_set, encoder.space, text_encoder(encoder))
    known = encode_examples(examples, encoder)
    strange = None if args.others is None else encode_examples(others, encoder)
    fitted = calibrate(
        classifier,
        known.embeddings,
        known.labels,
        [] if strange is None else strange.embeddings,
    )
    result = replace(class_set, temperature=fitted.temperature, unknown_cosine=fitted.unknown_cosine)
    write_class_set(result, args.out)
    report: dict[str, Any] = {
        "examples": len(known.labels),
        "accuracy": fitted.accuracy,
        "temperature": fitted.temperature,
        "unknown_cosine": fitted.unknown_cosine,
        "calibration_error_before": fitted.error_before,
        "calibration_error_held_out": fitted.error_after,
    }
    unreadable = [*known.unreadable, *([] if strange is None else strange.unreadable)]
    if args.json:
        print_json(
            "calibrate",
            model=encoder.name,
            file=str(args.out),
            **report,
            unreadable=[{"input": path, "reason": reason} for path, reason in unreadable],
        )
        return 0
    for name, value in report.items():
        print(f"{name.replace('_', ' ')}: {value:.4g}" if value is not None else f"{name}: not fitted")
    for path, reason in unreadable:
        print(f"left out {path}: {reason}")
    return 0


def _class_set(args: argparse.Namespace, labels: list[str]) -> ClassSet:
    from imagebind_node.recognition.class_set import from_labels, read_class_set

    if args.class_set is None:
        return from_labels(sorted(set(labels)), name=args.out.stem)
    return read_class_set(args.class_set)
