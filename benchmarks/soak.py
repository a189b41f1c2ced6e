#!/usr/bin/env python3
"""All five senses at once for as long as you like: does the graph stay small, quick and whole?

    python benchmarks/soak.py [--minutes 30] [--warm-up 60] [--json] [--out soak.json]

This process publishes camera 640x480 at 15 Hz, depth and thermal at 10 Hz, 16 kHz sound in 20 ms blocks and an IMU at
200 Hz over DDS; a second one runs encoder and fusion. Printed: growth of its resident memory after the warm-up (least
squares over all readings, %), errors, lost sound, 95th percentile from stamp to embedding as received here, and what
it costs beside inference: processor time of the process less that inside the encoder, in % of one core. Inference
(preprocessing included) runs on one PyTorch thread, so that the two can be told apart. Exit status 1 if a target is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from senses import Senses

READING = 1.0


class Meter:
    """Processor time that the encoder's methods take on the calling thread."""

    def __init__(self, encoder: Any) -> None:
        self.seconds = 0.0
        self._inside = False
        for name in ("encode", "encode_inputs"):
            setattr(encoder, name, self._metered(getattr(encoder, name)))
        make = encoder.front_end

        def front_end(modality: Any) -> Any:
            made = make(modality)
            if made is not None:
                made.push, made.input = self._metered(made.push), self._metered(made.input)
            return made

        encoder.front_end = front_end

    def _metered(self, function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if self._inside:
                return function(*args, **options)
            self._inside, begin = True, time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds += time.thread_time() - begin
                self._inside = False

        return call


def graph() -> int:
    """Encoder and fusion in this process; a JSON line with figures each second on stdout, until stdin ends."""
    import psutil
    import rclpy
    from rclpy.parameter import Parameter

    from imagebind_node.nodes.encoder import EncoderNode
    from imagebind_node.nodes.executor import Spinner
    from imagebind_node.nodes.fusion import FusionNode
    from imagebind_node.nodes.transport import use_large_shared_memory
    from imagebind_node.streaming.exchange import Exchange

    use_large_shared_memory()
    rclpy.init(args=[])
    exchange = Exchange()
    overrides = [Parameter("threads", value=1), Parameter("max_age", value=0.0)]
    encoder = EncoderNode(exchange=exchange, parameter_overrides=overrides)
    fusion = FusionNode(
        exchange=exchange,
        parameter_overrides=[Parameter("slop", value=0.2), Parameter("change_threshold", value=0.3)],
    )
    nodes = [encoder, fusion]
    assert encoder.trigger_configure().name == "SUCCESS", encoder.start_error
    meter = Meter(encoder._encoder)
    assert encoder.trigger_activate().name == "SUCCESS", encoder.start_error
    assert fusion.autostart(), fusion.start_error
    spinner = Spinner(nodes)
    spinner.start()
    process = psutil.Process()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(READING):
        cpu = process.cpu_times()
        sound = encoder._audio.stream
        reading = {
            "time": time.monotonic(),
            "rss": process.memory_info().rss,
            "cpu": cpu.user + cpu.system,
            "inference": meter.seconds,
            "errors": dict(encoder.errors.counts + fusion.errors.counts),
            "last errors": {**encoder.errors.last, **fusion.errors.last},
            "dropped": {str(m): source.dropped for m, source in encoder._pictures.items()},
            "lost frames": sound.lost_frames,
            "received frames": sound.received_frames,
            "skipped (s)": sound.skipped_seconds,
            "imu": {"gaps": encoder._imu.stream.gaps, "dropped": encoder._imu.dropped},
            "events": fusion.changes,
            "failure": repr(spinner.failure) if spinner.failure else "",
        }
        print(json.dumps(reading), flush=True)
    spinner.stop()
    for node in reversed(nodes):
        node.close()
    rclpy.shutdown()
    return 0


def soak(seconds: float, warm_up: float) -> dict[str, Any]:
    """Run both processes and return the figures."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    command = [sys.executable, str(Path(__file__).resolve()), "--role", "graph"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    readings: list[dict[str, Any]] = []
    assert child.stdout is not None and child.stdin is not None
    lines = child.stdout
    reader = threading.Thread(target=lambda: readings.extend(json.loads(line) for line in lines), daemon=True)
    reader.start()
    source = Senses()
    source.wait_for_subscribers()
    begin = time.monotonic()
    source.run(warm_up + seconds)
    time.sleep(1.0)
    child.stdin.close()
    status = child.wait(30)
    reader.join(5)
    source.close()
    return figures(readings, source, begin + warm_up, status)


def figures(readings: list[dict[str, Any]], source: Senses, start: float, status: int) -> dict[str, Any]:
    """What the readings after the warm-up say."""
    kept = [reading for reading in readings if reading["time"] >= start]
    first, last = kept[0], kept[-1]
    elapsed = last["time"] - first["time"]
    times = np.array([r["time"] for r in kept])
    memory = np.array([r["rss"] for r in kept], np.float64)
    slope, base = np.polyfit(times - times[0], memory, 1)
    ages = {m: np.array([age for when, age in items if when >= start]) for m, items in source.ages.items()}
    return {
        "seconds": round(elapsed, 1),
        "resident_mib": [round(first["rss"] / 2**20, 1), round(last["rss"] / 2**20, 1)],
        "memory_growth_percent": round(100 * slope * elapsed / base, 2),
        "exit_status": status,
        "failure": last["failure"],
        "errors": last["errors"],
        "last_errors": last["last errors"],
        "audio_lost_frames": last["lost frames"],
        "audio_skipped_seconds": last["skipped (s)"],
        "audio_frames_not_received": source.sent["audio"] * 320 - last["received frames"],
        "imu": last["imu"],
        "pictures_dropped": last["dropped"],
        "events": last["events"],
        "embeddings_hz": {m: round(len(a) / elapsed, 2) for m, a in ages.items()},
        "age_p50_ms": {m: round(float(np.median(a)) * 1e3, 1) for m, a in ages.items() if len(a)},
        "age_p95_ms": {m: round(float(np.percentile(a, 95)) * 1e3, 1) for m, a in ages.items() if len(a)},
        "inference_percent_of_core": round(100 * (last["inference"] - first["inference"]) / elapsed, 1),
        "overhead_percent_of_core": round(
            100 * (last["cpu"] - first["cpu"] - last["inference"] + first["inference"]) / elapsed, 1
        ),
    }


def missed(found: dict[str, Any]) -> list[str]:
    """The targets that these figures do not reach."""
    senses = {name: age for name, age in found["age_p95_ms"].items() if name != "fused"}
    lost = ("audio_lost_frames", "audio_frames_not_received", "audio_skipped_seconds")
    reached = {
        "memory grows by less than 2 %": found["memory_growth_percent"] < 2.0,
        "no unhandled exception": not found["failure"] and not found["errors"] and found["exit_status"] == 0,
        "no sound lost": not any(found[name] for name in lost),
        "p95 from stamp to embedding at most 120 ms": max(senses.values()) <= 120.0,
        "at most 10 % of a core beside inference": found["overhead_percent_of_core"] <= 10.0,
    }
    return [target for target, good in reached.items() if not good]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up", type=float, default=60.0, metavar="S")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document there as well")
    parser.add_argument("--role", choices=("graph",), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "graph":
        return graph()
    found = soak(args.minutes * 60, args.warm_up)
    found["missed"] = missed(found)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    if args.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:28} {value}")
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
