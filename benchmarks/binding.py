"""Training speed of the binding loop beside the same loop written plainly, in one run.

  python benchmarks/binding.py [--batch 64] [--steps 20] [--rounds 3] [--threads 2] [--device cpu]

Plain is the loop of open_clip's training script in our own words: picture tower locked but run at every step, one
matrix of similarities, cross entropy in both directions, AdamW. "plain, cached" is the same with anchors from a file.
"ours" is `Trainer` with cached anchors: augmentation, clipping, states and curves included; "ours, chunks" embeds
the batch in four parts (gradient caching). All train the same small sound tower on the same inputs, in turns. Prints
one JSON document: pairs a second (median of the rounds), and ratios to plain of wall time and of processor time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from imagebind_node import load_encoder
from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.recipe import parse_recipe, read_recipe
from imagebind_node.binding.towers import build_tower
from imagebind_node.binding.trainer import Trainer
from imagebind_node.samples import ImageSample, Modality

CHUNKS = 4


def now() -> np.ndarray:
    """Seconds of the wall's clock and of the processor's for this process."""
    return np.array([time.perf_counter(), time.process_time()])


def problem(count: int) -> tuple[Any, torch.Tensor, torch.Tensor, Pairs]:
    """(frozen encoder, picture inputs, sound inputs (count, 2, 1, 96, 64), the same as pairs): random content."""
    rng = np.random.default_rng(0)
    encoder = load_encoder("concept", modalities=["vision"])
    shown = [ImageSample(rng.integers(0, 256, (224, 224, 3), np.uint8)) for _ in range(count)]
    pictures = torch.stack([encoder.preprocess(Modality.VISION, sample) for sample in shown])
    sounds = torch.from_numpy(rng.normal(size=(count, 2, 1, 96, 64)).astype(np.float32))
    anchors = encoder.forward(Modality.VISION, pictures).numpy()
    return encoder, pictures, sounds, Pairs(anchors, sounds, encoder.space)


def plain(
    recipe: Any, encoder: Any, pictures: torch.Tensor | None, pairs: Pairs, steps: int, device: str
) -> np.ndarray:
    """Seconds of `steps` steps; pictures None: anchors are cached."""
    tower = build_tower(recipe.tower, pairs.space.dim, seed=0).to(device)
    scale = torch.nn.Parameter(torch.tensor(float(np.log(1 / 0.07)), device=device))
    optimizer = torch.optim.AdamW([*tower.parameters(), scale], 1e-3, (0.9, 0.95), weight_decay=0.05)
    inputs, anchors = pairs.samples, torch.from_numpy(pairs.anchors)
    batch = recipe.training.batch
    generator = torch.Generator().manual_seed(0)
    tower.train()
    start = now()
    for _ in range(steps):
        rows = torch.randperm(len(pairs), generator=generator)[:batch]
        if pictures is None:
            targets = anchors[rows]
        else:
            with torch.no_grad():
                targets = encoder.forward(Modality.VISION, pictures[rows]).clone()
        found = F.normalize(tower(inputs[rows].to(device)), dim=-1)  # type: ignore[call-overload]
        logits = scale.exp() * found @ targets.to(device).T
        labels = torch.arange(batch, device=device)
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    return now() - start


def ours(recipe: Any, pairs: Pairs, steps: int, device: str) -> np.ndarray:
    """Seconds of `steps` steps of `Trainer`, with a folder for states and curves."""
    tower = build_tower(recipe.tower, pairs.space.dim, seed=0)
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(recipe, tower, pairs, out=out, device=device)
        start = now()
        trainer.fit(until=steps)
        return now() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    document = read_recipe("audio_small").plain
    document["training"] |= {"batch": args.batch, "epochs": 1000, "workers": 0}
    recipe = parse_recipe(document)
    document["training"] |= {"chunk": -(-args.batch // CHUNKS)}
    chunked = parse_recipe(document)
    encoder, pictures, _, pairs = problem(2 * args.batch)
    runs = {
        "plain": lambda n: plain(recipe, encoder, pictures, pairs, n, args.device),
        "plain, cached": lambda n: plain(recipe, encoder, None, pairs, n, args.device),
        "ours": lambda n: ours(recipe, pairs, n, args.device),
        "ours, chunks": lambda n: ours(chunked, pairs, n, args.device),
    }
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    for run in runs.values():
        run(2)
    for _ in range(args.rounds):
        for name, run in runs.items():
            seconds[name].append(run(args.steps))
    seen = args.batch * args.steps
    rate = {name: seen / np.median(spent, axis=0) for name, spent in seconds.items()}
    result = {
        "batch": args.batch,
        "device": args.device,
        "threads": args.threads,
        "pairs a second": {name: round(float(value[0]), 1) for name, value in rate.items()},
        "times plain": {name: round(float(value[0] / rate["plain"][0]), 2) for name, value in rate.items()},
        "times plain, processor time": {
            name: round(float(value[1] / rate["plain"][1]), 2) for name, value in rate.items()
        },
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
