"""`evaluate vision-model`: image encoders judged by how well sound and words can be bound to them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from imagebind_node.cli.options import add_output_arguments, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError

METRICS = {"recall_at_1": "R@1", "recall_at_5": "R@5", "percentile": "percentile"}


def add_task(tasks: Any) -> None:
    """Add the task to the subparsers of `evaluate`."""
    task = tasks.add_parser(
        "vision-model", help="bind sound and words to frozen image encoders; which binds best?"
    )
    task.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="concept, timm:NAME, transformers:FOLDER_OR_NAME, hub:FOLDER:ENTRY or MODULE:FUNCTION; "
        "@random after timm:NAME or transformers:NAME: untrained",
    )
    task.add_argument(
        "--data", required=True, type=Path, metavar="PAIRS", help="folder with pairs.json, or such a list"
    )
    task.add_argument(
        "--folds", type=positive_int, default=5, metavar="N", help="parts of the names (default: 5)"
    )
    task.add_argument(
        "--repeats",
        type=positive_int,
        default=3,
        metavar="N",
        help="how often folds are dealt anew (default: 3)",
    )
    task.add_argument("--seed", type=int, default=0, metavar="N", help="of folds and heads (default: 0)")
    task.add_argument(
        "--plot", type=Path, metavar="FILE", help="write a picture of the results (.png, .svg, .pdf)"
    )
    task.add_argument("--device", default="cpu", help="of the image encoders: cpu or cuda (default: cpu)")
    task.set_defaults(evaluate=run)
    add_output_arguments(task)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from imagebind_node.evaluation.plots import check_plot, plot_vision_models
    from imagebind_node.evaluation.vision_models.image_encoders import load_image_encoder
    from imagebind_node.evaluation.vision_models.judgement import judge_features
    from imagebind_node.evaluation.vision_models.paired_senses import read_paired_senses

    if args.folds < 2:
        raise InvalidInputError(
            "--folds must be at least 2: heads are judged on what they were not trained on"
        )
    if args.plot is not None:
        check_plot(args.plot)
    encoders = [load_image_encoder(name, args.device) for name in dict.fromkeys(args.models)]
    path = args.data / "pairs.json" if args.data.is_dir() else args.data
    data = read_paired_senses(path)
    reports: dict[str, Any] = {}
    total = len(encoders) * len(data.senses) * args.folds * args.repeats
    with tqdm(total=total, unit="head", disable=not sys.stderr.isatty(), leave=False) as bar:
        for encoder in encoders:
            bar.set_description(encoder.name)
            features = encoder.features(data.read_pictures())
            report = judge_features(
                features,
                data,
                folds_count=args.folds,
                repeats=args.repeats,
                seed=args.seed,
                progress=lambda: bar.update() and None,
            )
            reports[encoder.name] = {"features": features.shape[1], **report}
    facts = {"data": str(path), "n": len(data.pictures), "names": len(set(data.names)), "folds": args.folds}
    if args.plot is not None:
        plot_vision_models(reports, args.plot)
    if args.json:
        print_json("evaluate_vision_model", **facts, repeats=args.repeats, seed=args.seed, models=reports)
        return 0
    print(
        f"{facts['n']} pairs, {facts['names']} names, of which 1 in {args.folds} at a time were held out; "
        f"% [95 % interval]; * the two were never trained on together"
    )
    print_table(("task", "metric", "chance", *reports), _rows(reports))
    return 0


def _rows(reports: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for task, first in next(iter(reports.values()))["tasks"].items():
        label = task.replace("_", " ") + (" *" if first["emergent"] else "")
        for metric, name in METRICS.items():
            cells = [_cell(report["tasks"][task][metric]) for report in reports.values()]
            rows.append((label, name, f"{100 * first[metric]['chance']:.1f}", *cells))
    return rows


def _cell(found: dict[str, Any]) -> str:
    low, high = found["ci95"]
    return f"{100 * found['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
