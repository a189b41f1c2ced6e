"""Cost of detection: dense maps on top of an ImageBind embedding, the swap of a class, calibration, tracking.

    python benchmarks/detection.py dense [--width 1280 --blocks 32 --heads 16] [--precision bf16]
    python benchmarks/detection.py swap
    python benchmarks/detection.py owlvit --checkpoint FOLDER
    python benchmarks/detection.py concept     the embedded detector in each precision, on the demo's picture

Prints one JSON document. Weights of `dense` are random: time does not depend on their values. Embedding alone
and embedding with map are measured alternately in one run, so that a busy machine disturbs both alike; the
ratio is of the CPU time of this process, which other programs hardly change.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.dense_features import METHODS, embed_densely
from imagebind_node.detection.detections import Regions
from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.imagebind.config import config_from_constructor
from imagebind_node.encoders.imagebind.model import ImageBind
from imagebind_node.samples import Modality


def alternately(
    calls: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Milliseconds of each call, taken in turns after one warm-up of each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repeats + 1):
        for name, call in calls.items():
            start = clock()
            call()
            if round_:
                times[name].append((clock() - start) * 1e3)
    return times


def random_tower(width: int, blocks: int, heads: int, dim: int, precision: str) -> ImageBind:
    """A vision tower with random weights of unit gain."""
    config = config_from_constructor(
        {
            "vision_embed_dim": width,
            "vision_num_blocks": blocks,
            "vision_num_heads": heads,
            "out_embed_dim": dim,
        }
    )
    network = ImageBind(config, [Modality.VISION]).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            torch.nn.init.ones_(parameter)
    return network.to(torch.bfloat16) if precision == "bf16" else network


def bench_dense(args: argparse.Namespace) -> dict:
    network = random_tower(args.width, args.blocks, args.heads, args.dim, args.precision)
    tower = network.tower(Modality.VISION)
    picture = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        same = torch.equal(embed_densely(tower, picture)[0], network.embed(Modality.VISION, picture))
        calls: dict[str, Callable[[], object]] = {
            "embedding": lambda: network.embed(Modality.VISION, picture)
        }
        for method in args.methods:
            calls[method] = lambda method=method: embed_densely(tower, picture, method)
        times = alternately(calls, args.repeats, time.process_time)
    # Each round's ratio, so that load that changes from round to round cancels out.
    ratios = {
        name: statistics.median(t / e for t, e in zip(times[name], times["embedding"], strict=True))
        for name in args.methods
    }
    return {
        "embedding_bit_identical": same,
        "median_cpu_ms": {name: statistics.median(values) for name, values in times.items()},
        "min_cpu_ms": {name: min(values) for name, values in times.items()},
        "ratio_to_embedding": ratios,
    }


def bench_swap(args: argparse.Namespace) -> dict:
    space = Space("benchmark", args.dim)
    rng = np.random.default_rng(0)

    def unit(count: int) -> np.ndarray:
        rows = rng.standard_normal((count, args.dim)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    classes = ClassEmbeddings(space, null_regions=unit(300))
    cues = [Embedding(row, Modality.AUDIO, space) for row in unit(10)]
    boxes = np.sort(rng.uniform(0, 640, (24, 2, 2)).astype(np.float32), axis=1).reshape(24, 4)
    regions = Regions(boxes, unit(24), np.ones(24, np.float32))
    labels = [str(i) for i in range(len(cues))]
    times = alternately(
        {
            "swap_1": lambda: classes.replace(labels[:1], cues[:1]),
            "swap_10": lambda: classes.replace(labels, cues),
            "score_24_regions_10_classes": lambda: classes.detect(regions),
        },
        2000,
    )
    return {
        name: {"median_ms": statistics.median(values), "p99_ms": float(np.percentile(values, 99))}
        for name, values in times.items()
    }


def bench_owlvit(args: argparse.Namespace) -> dict:
    from imagebind_node.detection.registry import load_detector
    from imagebind_node.samples import ImageSample

    detector = load_detector("owlvit", checkpoint=args.checkpoint)
    sample = ImageSample(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8))
    times = alternately({"regions": lambda: detector.regions(sample)}, args.repeats)
    return {"median_ms": statistics.median(times["regions"])}


def bench_concept(args: argparse.Namespace) -> dict:
    import cv2

    from imagebind_node.detection.proposals import fastest_precision
    from imagebind_node.detection.registry import load_detector
    from imagebind_node.encoders.base import load_encoder
    from imagebind_node.files import read_image
    from imagebind_node.samples import ImageSample

    picture = read_image(Path(__file__).parents[1] / "demo" / "meadow.jpg").data
    sample = ImageSample(cv2.resize(picture, (640, 480)))
    encoder = load_encoder("concept", modalities=["vision"])
    detectors = {p: load_detector("concept", encoder, precision=p) for p in ("fp32", "bf16", "auto")}
    calls = {name: lambda d=d: d.regions(sample) for name, d in detectors.items()}
    times = alternately(calls, args.repeats)
    spent = alternately(calls, args.repeats, time.process_time)
    return {
        "auto": fastest_precision(),
        "median_ms": {name: statistics.median(values) for name, values in times.items()},
        # With OMP_NUM_THREADS=1 other programs hardly change it: threads that wait for each other spend time, too.
        "median_cpu_ms": {name: statistics.median(values) for name, values in spent.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("dense", "swap", "owlvit", "concept"))
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--blocks", type=int, default=32)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--checkpoint", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    benches = {"dense": bench_dense, "swap": bench_swap, "owlvit": bench_owlvit, "concept": bench_concept}
    result = benches[args.what](args)
    settings = {k: str(v) for k, v in vars(args).items() if v is not None}
    print(json.dumps({"settings": settings, "torch_threads": torch.get_num_threads(), **result}, indent=1))


if __name__ == "__main__":
    main()
