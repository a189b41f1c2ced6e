"""What both workers of benchmarks/encoders.py share: inputs, the timing loop and its protocol."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import psutil
import torch
from torch import Tensor

SHAPES = {
    "vision": (3, 224, 224),
    "audio": (3, 1, 128, 204),
    "depth": (1, 224, 224),
    "thermal": (1, 224, 224),
    "imu": (6, 2000),
}
PROMPT = "a photo of a dog barking at a train"


def arguments() -> argparse.ArgumentParser:
    """Options that both workers take."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--tower", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    return parser


def inputs(tower: str, batch: int) -> Tensor:
    """The same made-up batch in every process."""
    if tower == "text":
        from imagebind_node.preprocessing.text import tokenize

        return torch.stack([tokenize(PROMPT)] * batch)
    return torch.randn(batch, *SHAPES[tower], generator=torch.Generator().manual_seed(1))


def serve(run: Callable[[], Tensor], clock: str) -> None:
    """Warm up, report the output, then time one call for every line on stdin."""
    now = time.thread_time if clock == "cpu" else time.perf_counter
    with torch.inference_mode():
        output = run()
        run()
        resident = psutil.Process().memory_info().rss / 1e6
        _say({"output": output.float().cpu().tolist(), "resident_megabytes": resident})
        for _ in sys.stdin:
            start = now()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            _say({"seconds": now() - start})


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _say(message: dict) -> None:
    print(json.dumps(message), flush=True)
