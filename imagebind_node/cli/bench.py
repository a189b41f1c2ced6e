"""Measure this machine: image embedding from a 640x480 frame, an audio hop, detection a frame, text.

Times are wall clock from the sample in memory to the embedding or the boxes, preprocessing included.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import add_model_arguments, load_model, positive_float, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import AudioSample, ImageSample, Modality, TextSample

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

WARM_UP = 5
STAGES = ("image", "audio_hop", "detection", "text")
TEXT = "a dog barking in a meadow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=positive_int, default=100, metavar="N", help="runs a stage (default: 100)"
    )
    parser.add_argument("--stages", metavar="A,B", help=f"of {', '.join(STAGES)} (default: all)")
    parser.add_argument(
        "--hop", type=positive_float, default=0.1, metavar="S", help="seconds of new sound a hop"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import psutil
    import torch

    stages = args.stages.split(",") if args.stages else list(STAGES)
    unknown = sorted(set(stages) - set(STAGES))
    if unknown:
        raise InvalidInputError(f"unknown stage {', '.join(unknown)}: use {', '.join(STAGES)}")
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    towers = {
        "image": Modality.VISION,
        "detection": Modality.VISION,
        "audio_hop": Modality.AUDIO,
        "text": Modality.TEXT,
    }
    encoder = load_model(args, {towers[stage] for stage in stages})
    load_seconds = time.perf_counter() - started
    makers = {"image": _image, "audio_hop": _audio_hop, "detection": _detection, "text": _text}
    results = [_measure(stage, makers[stage](encoder, args), args.runs) for stage in stages]
    machine = {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": args.device,
        "gpu": torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    memory = {"loaded_mib": _mib(process.memory_info().rss - before), "peak_mib": _mib(_peak())}
    if args.json:
        print_json(
            "bench",
            model=encoder.name,
            precision=args.precision,
            machine=machine,
            load_seconds=load_seconds,
            memory=memory,
            stages=results,
        )
        return 0
    print(
        f"{encoder.name} {args.precision} on {machine['gpu'] or machine['cpu']}, {machine['threads']} threads"
    )
    print_table(
        ("stage", "median ms", "p95 ms", "n"),
        [(r["stage"], r["median_ms"], r["p95_ms"], r["runs"]) for r in results],
    )
    print(
        f"loaded in {load_seconds:.2f} s, {memory['loaded_mib']} MiB; peak of the process {memory['peak_mib']} MiB"
    )
    return 0


def _measure(stage: str, work: Callable[[], Any], runs: int) -> dict[str, Any]:
    import numpy as np

    for _ in range(WARM_UP):
        work()
    times = np.empty(runs)
    for i in range(runs):
        started = time.perf_counter()
        work()
        times[i] = time.perf_counter() - started
    median, p95 = np.percentile(times, [50, 95]) * 1e3
    return {"stage": stage, "runs": runs, "median_ms": float(median), "p95_ms": float(p95)}


def _image(encoder: Encoder, args: argparse.Namespace) -> Callable[[], Any]:
    frame = _frame()
    return lambda: encoder.encode(Modality.VISION, [frame])


def _text(encoder: Encoder, args: argparse.Namespace) -> Callable[[], Any]:
    return lambda: encoder.encode(Modality.TEXT, [TextSample(TEXT)])


def _audio_hop(encoder: Encoder, args: argparse.Namespace) -> Callable[[], Any]:
    """One hop as in the encoder node: new sound in, an embedding of the newest window out."""
    import numpy as np

    front_end = encoder.front_end(Modality.AUDIO)
    if front_end is None:
        raise InvalidInputError(
            f"model {encoder.name!r} has no streaming audio: leave out --stages audio_hop"
        )
    rate = front_end.sample_rate
    sound = _sound(rate)
    hop = max(1, round(args.hop * rate))
    sound = np.concatenate([sound, sound[:hop]])
    seconds = encoder.window(Modality.AUDIO) + 1
    for start in range(0, round(seconds * rate), hop):
        front_end.push(sound[start % (len(sound) - hop) :][:hop])
    position = 0

    def work() -> None:
        nonlocal position
        position = (position + hop) % (len(sound) - hop)
        block = sound[position : position + hop]
        front_end.push(block)
        window = front_end.input()
        assert window is not None, "the windows before were filled above"
        encoder.encode_inputs(Modality.AUDIO, [window], [AudioSample(block, rate)])

    return work


def _detection(encoder: Encoder, args: argparse.Namespace) -> Callable[[], Any]:
    from imagebind_node.detection.registry import default_detector, load_detector

    detector = load_detector(default_detector(args.model), encoder)
    classes = detector.new_classes()
    frame = _frame()
    classes.replace(["picture"], encoder.encode(Modality.VISION, [frame]))
    return lambda: detector.detect(frame, classes)


def _frame() -> ImageSample:
    """A 640x480 frame of the demo's scene: noise would give the detector nothing to propose."""
    import cv2

    from imagebind_node.demo.scenes import load_scenes
    from imagebind_node.files import read_image

    picture = read_image(load_scenes()[0].image).data
    return ImageSample(cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA))


def _sound(rate: int) -> Any:
    """3 s of the demo's first sound at `rate`, mono float32."""
    from imagebind_node.demo.scenes import load_scenes
    from imagebind_node.files import read_audio
    from imagebind_node.preprocessing.audio_signal import resample

    sample = read_audio(load_scenes()[0].cues[0].sound)
    return resample(sample.data, sample.sample_rate, rate)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _mib(size: int) -> int:
    return round(size / 1024**2)
