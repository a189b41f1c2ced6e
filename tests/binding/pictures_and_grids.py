"""Shards of pictures and a coarse view of them as another sensor would give it: easy to bind, real towers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from imagebind_node.binding.shards import Pair, ShardWriter
from imagebind_node.cli.main import main

RECIPE = {
    "modality": "grid",
    "tower": {"name": "conv1d", "channels": 3, "widths": [24, 48], "blocks": 1},
    "augmentations": [{"name": "noise", "deviation": 0.02}],
    "training": {"batch": 16, "epochs": 2, "learning_rate": 0.003, "seed": 4},
}


def write_recipe(path: Path, **changes: object) -> Path:
    """JSON is YAML."""
    path.write_text(json.dumps({**RECIPE, **changes}), encoding="utf-8")
    return path


def picture(rng: np.random.Generator) -> np.ndarray:
    return cv2.resize(
        rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC
    )


def view(image: np.ndarray) -> np.ndarray:
    """float32 (3, 36) in [0, 1]: what the other sensor measured."""
    return cv2.resize(image, (6, 6), interpolation=cv2.INTER_AREA).astype(np.float32).reshape(36, 3).T / 255


def write_shards(folder: Path, pairs: list[tuple[str, Pair]] | None = None) -> Path:
    """12 sessions of 4 pairs, 8 for training; or the given (split, pair)."""
    writer = ShardWriter(folder)
    rng = np.random.default_rng(0)
    if pairs is None:
        pairs = []
        for session in range(12):
            split = "train" if session < 8 else "val" if session < 10 else "test"
            for number in range(4):
                image = picture(rng)
                facts = {"session": f"s{session}"}
                pairs.append((split, Pair(f"{session:02d}_{number}", image, view(image), facts)))
    for split, pair in pairs:
        writer.add(split, pair)
    writer.close({"kind": "std_msgs/msg/Float32MultiArray", "streams": {"sense": "/grid", "read": "data"}})
    return folder


def bind(recipe: Path, data: Path, out: Path, *more: str) -> int:
    """The command, in this process; its status."""
    return main(["bind", str(recipe), "--data", str(data), "--out", str(out), "--threads", "1", *more])
