"""`evaluate zero-shot` and `retrieval` on published datasets; what ImageBind's authors report stands beside."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from imagebind_node.cli.options import add_model_arguments, load_model, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.samples import Modality

LABELLED = ("esc50", "imagenet", "sun_rgbd", "nyud", "llvip", "ego4d")
CAPTIONED = ("audiocaps", "clotho")


def add_zero_shot(tasks: Any) -> None:
    """Add the task to the subparsers of `evaluate`."""
    task = tasks.add_parser("zero-shot", help="recognition by class names on a labelled dataset")
    task.add_argument("data", type=Path, metavar="DATA", help="folder as its authors publish it")
    task.add_argument("--dataset", required=True, choices=LABELLED, help="which layout DATA has")
    add_limit(task)
    task.set_defaults(evaluate=_zero_shot)
    add_model_arguments(task)


def add_limit(task: argparse.ArgumentParser) -> None:
    """For a look at a part of a large dataset."""
    task.add_argument("--limit", type=positive_int, metavar="N", help="of a published dataset only N items")


def _zero_shot(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from imagebind_node.evaluation.datasets import read_dataset
    from imagebind_node.evaluation.zero_shot import evaluate_zero_shot

    dataset = read_dataset(args.dataset, args.data)
    encoder = load_model(args, {dataset.modality, Modality.TEXT})
    total = min(len(dataset.items), args.limit or len(dataset.items))
    with tqdm(total=total, disable=not sys.stderr.isatty(), leave=False) as bar:
        report = evaluate_zero_shot(
            encoder, dataset, limit=args.limit, progress=lambda: bar.update() and None
        )
    if args.json:
        print_json("evaluate_zero_shot", model=encoder.name, data=str(args.data), **report)
        return 0
    print(f"{encoder.name} on {report['n']} items of {args.dataset}, {report['classes']} classes")
    names = {"top_1": "top-1", "top_5": "top-5", "mean_average_precision": "mAP"}
    rows = [(label, *_row(report[name])) for name, label in names.items() if name in report]
    print_table(("%", "value", "95 % interval", "chance"), rows)
    _print_paper(report)
    _print_unreadable(report)
    return 0


def retrieve_captioned(args: argparse.Namespace) -> int:
    """`evaluate retrieval --dataset`."""
    from tqdm import tqdm

    from imagebind_node.evaluation.captions import evaluate_captions
    from imagebind_node.evaluation.datasets import CAPTIONED as READERS

    items = READERS[args.dataset](args.data)[: args.limit]
    encoder = load_model(args, {Modality.AUDIO, Modality.TEXT})
    with tqdm(total=len(items), disable=not sys.stderr.isatty(), leave=False) as bar:
        report = evaluate_captions(encoder, items, args.dataset, progress=lambda: bar.update() and None)
    if args.json:
        print_json("evaluate_captions", model=encoder.name, data=str(args.data), **report)
        return 0
    print(f"{encoder.name} on {report['captions']} captions of {report['clips']} clips of {args.dataset}")
    rows = [(f"R@{k}", *_row(report[f"recall_at_{k}"])) for k in (1, 5, 10)]
    print_table(("%", "value", "95 % interval", "chance"), rows)
    print(f"median rank {report['median_rank']:.0f}")
    _print_paper(report)
    _print_unreadable(report)
    return 0


def _row(found: dict[str, Any]) -> tuple[str, str, str]:
    low, high = found["ci95"]
    value, chance = f"{100 * found['value']:.1f}", f"{100 * found['chance']:.1f}"
    return value, f"{100 * low:.1f} to {100 * high:.1f}", chance


def _print_paper(report: dict[str, Any]) -> None:
    paper = report["paper"]
    if paper:
        metric = paper["metric"].replace("_", " ")
        print(f"ImageBind's authors report on {paper['name']}: {metric} {paper['value']}")


def _print_unreadable(report: dict[str, Any]) -> None:
    for entry in report["unreadable"]:
        print(f"left out {entry['input']}: {entry['reason']}")
