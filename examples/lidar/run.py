"""The whole way of docs/new_sense.md in one go: recordings, pairs, binding, and pictures found by scans.

  python examples/lidar/run.py OUT [--drives 48] [--seconds 20] [--seed 0]

Every step but the simulator is a command of this package, printed before it runs. Ends with how often a scan of places
never seen before finds its own picture, and a picture of the same kind of place. OUT must not exist.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
from record import CAMERA, SCAN, record
from worlds import KINDS

from imagebind_node import load_encoder
from imagebind_node.binding.judge import ranks, recall
from imagebind_node.binding.shards import PairShards
from imagebind_node.cli.main import main as imagebind_node
from imagebind_node.samples import ArraySample, Modality

HERE = Path(__file__).parent


def main() -> None:
    """Run all steps and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--drives", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", type=Path, default=HERE / "lidar.yaml")
    args = parser.parse_args()
    os.environ["IMAGEBIND_NODE_PLUGINS"] = "lidar_sense"
    bound = bind_lidar(args.out, args.drives, round(2 * args.seconds), args.seed, args.recipe)
    write_test_drives(args.out / "pairs", args.out / "test")
    scan = next((args.out / "test").glob("*.npz"))
    command(
        "retrieve", f"lidar:{scan}", "--among", args.out / "test", "--modality", "vision", "--bound", bound
    )
    print(json.dumps(judged(args.out / "pairs", bound), indent=1))


def bind_lidar(out: Path, drives: int, count: int, seed: int, recipe: Path) -> Path:
    """Record `drives` drives of `count` pairs, make pairs, bind. Returns the folder of the bound tower."""
    folders = [record(out / "drives" / f"drive_{k:03d}", k, count, seed) for k in range(drives)]
    streams = ("--image", CAMERA, "--sense", SCAN, "--shares", "0.7,0,0.3")
    command("pairs", *folders, *streams, "--out", out / "pairs")
    command(
        "bind", recipe, "--data", out / "pairs", "--out", out / "lidar", "--licence", "made by a simulator"
    )
    return out / "lidar" / "bound"


def command(*words: object) -> None:
    """One command of `imagebind-node`, shown and run."""
    text = [str(word) for word in words]
    shown = shlex.join(["imagebind-node", *text])
    print(f"$ {shown if len(shown) < 300 else shown[:140] + ' ... ' + shown[-140:]}", flush=True)
    status = imagebind_node(text)
    if status:
        sys.exit(status)


def write_test_drives(pairs: Path, out: Path, every: int = 4) -> None:
    """Every fourth picture (.png) and scan (.npz, with its angles) of the drives that were held out, as files."""
    from PIL import Image

    out.mkdir()
    for number, pair in enumerate(PairShards(pairs).read("test")):
        if number % every == 0 and pair.image is not None:
            Image.fromarray(pair.image).save(out / f"{pair.key}.png")
            facts = {name: value for name, value in pair.facts.items() if name.startswith(("angle", "range"))}
            np.savez(out / f"{pair.key}.npz", lidar=pair.sense, **facts)


def judged(pairs: Path, bound: Path) -> dict[str, Any]:
    """Retrieval among all pictures of the drives that were held out; 95 % intervals resample drives."""
    shards = PairShards(pairs)
    kinds = {
        name: list(KINDS)[int(session["recordings"][0].removeprefix("drive_")) % len(KINDS)]
        for name, session in shards.index["sessions"].items()
    }
    encoder = load_encoder("concept", modalities=["vision", "lidar"], bound=[bound])
    scans, pictures, sessions = [], [], []
    for pair in shards.read("test"):
        facts = {name: value for name, value in pair.facts.items() if isinstance(value, float)}
        scans += encoder.encode("lidar", [ArraySample(pair.sense, Modality("lidar"), facts)])
        pictures += encoder.encode("vision", [pair.image])
        sessions.append(pair.facts["session"])
    seen, shown = (np.stack([e.vector for e in embeddings]) for embeddings in (scans, pictures))
    groups = np.array(sessions)
    found: dict[str, Any] = {"pictures": len(groups), "drives": len(set(sessions))}
    for name, (query, gallery) in {
        "scan_to_picture": (seen, shown),
        "picture_to_scan": (shown, seen),
    }.items():
        place = ranks(query, gallery)
        found[name] = {f"R@{k}": recall(place, len(groups), groups, k) for k in (1, 5, 10)}
        found[name]["median_rank"] = float(np.median(place) + 1)
    kind = np.array([kinds[session] for session in sessions])
    # Pictures of the same drive are left out: the place must be another one of its kind.
    similarity = np.where(groups[:, None] == groups[None], -np.inf, seen @ shown.T)
    same = kind[similarity.argmax(1)] == kind
    others = (kind[:, None] == kind[None]) & (groups[:, None] != groups[None])
    chance = others.sum(1) / (groups[:, None] != groups[None]).sum(1)
    best = recall(np.where(same, 0, 1), 2, groups, 1) | {"chance": float(chance.mean())}
    found["same_kind_of_place_in_another_drive"] = best
    return found


if __name__ == "__main__":
    main()
