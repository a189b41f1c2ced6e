"""Bind a new sense to a frozen image-text space, or distil a tower into a small one.

RECIPE is a YAML file or the name of a bundled one (config/binding); SHARDS is what `imagebind-node pairs` wrote. The
folder given with --out gets states to resume from, history.jsonl and TensorBoard curves and, at the end,
`bound/`: the tower with its card, for --bound of other commands and the node parameter `bound`. Ctrl-C saves a state
first. Recipes, and how to add a sense of your own: docs/binding.md

examples:
  imagebind-node bind depth_small --data pairs/ --out depth/
  imagebind-node bind my_lidar.yaml --data pairs/ --out lidar/ --resume
  torchrun --nproc_per_node=2 -m imagebind_node.cli.main bind audio --data pairs/ --out audio/ --device cuda
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from imagebind_node.cli.options import add_output_arguments, positive_int
from imagebind_node.cli.output import print_json
from imagebind_node.errors import InvalidInputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file, or the name of a bundled recipe")
    parser.add_argument("--data", required=True, type=Path, metavar="SHARDS", help="folder of pairs")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the training")
    parser.add_argument("--resume", action="store_true", help="go on from the newest state in DIR")
    parser.add_argument(
        "--until", type=positive_int, metavar="STEP", help="stop after this step, to be resumed later"
    )
    parser.add_argument(
        "--licence", default="not stated", metavar="TEXT", help="of the data, to be kept in the card"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads (default: all cores)")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import torch

    from imagebind_node.binding.bind import Run, bind, local_device
    from imagebind_node.binding.distributed import process_group
    from imagebind_node.binding.recipe import read_recipe

    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidInputError(f"device {args.device!r} asked for, but PyTorch sees no CUDA GPU: use cpu")
    if args.threads:
        torch.set_num_threads(args.threads)
    how = Run(
        out=args.out,
        resume=args.resume,
        until=args.until,
        licence=args.licence,
        device=local_device(args.device),
        progress=sys.stderr.isatty(),
    )
    recipe = read_recipe(args.recipe)
    with process_group(how.device):
        report = bind(recipe, args.data, how)
    if report is None:
        return 0
    if args.json:
        print_json("bind", out=str(args.out), **report)
    else:
        _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    pairs = ", ".join(f"{count} {split}" for split, count in report["pairs"].items())
    print(
        f"{report['modality']} in space {report['space']}: {report['parameters']} parameters, pairs: {pairs}"
    )
    for split, reasons in report["left_out"].items():
        for reason, count in reasons.items():
            print(f"left out of {split}: {count}, {reason}")
    if report["bound"] is None:
        print(f"stopped after step {report['steps']} of {report['of_steps']}: add --resume to go on")
        return
    if report["test"] is not None:
        test = report["test"]
        for at in (1, 5):
            found = test[f"recall_at_{at}"]
            interval = "no interval from one session"
            if found["ci95"] is not None:
                interval = "[{:.1%}, {:.1%}] over {} sessions".format(*found["ci95"], found["groups"])
            print(
                f"test, own anchor among {test['gallery']}: R@{at} {found['value']:.1%}, {interval}, "
                f"chance {found['chance']:.1%}, n {found['n']}"
            )
        print(f"test, mean cosine to the own anchor: {test['cosine']:.3f}")
    print(f"wrote {report['bound']}")
