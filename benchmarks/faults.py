#!/usr/bin/env python3
"""Faults injected into the running graph: what happened, how long until it served again, what was lost.

    python benchmarks/faults.py [--only killed,microphone] [--json] [--out faults.json]

Encoder, detector and fusion run in a process each, as launch starts them; this process publishes camera 640x480 at
15 Hz, depth and thermal at 10 Hz, 16 kHz sound and an IMU at 200 Hz, and listens. `recovery` is the time in s from the
moment when the source is back (for a node that was killed: when it is started again) to the arrival of the first
result that is stamped after it; for sound that takes in a window of 0.975 s, for motion 0.64 s. `lost`: what
was sent while all was well and did not reach the encoder (messages), or what the driver knows that it lost (samples).
Exit status 1 if anything took longer than --limit s or did not come back.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from fault_injection import devices, machine, topics
from fault_injection.graph import FaultGraph, Outcome
from senses import RATES

CASES: dict[str, Callable[[FaultGraph], Iterator[Outcome]]] = {
    function.__name__: function
    for function in (
        topics.pause,
        topics.publisher_killed,
        topics.frozen,
        topics.unusable_pictures,
        topics.unusable_signals,
        topics.driver_clock,
        topics.disorder,
        topics.overload,
        machine.killed,
        machine.disk_full,
        devices.microphone,
        devices.camera_file,
        devices.camera_stream,
        devices.camera_rtsp,
        devices.thermal_file,
        devices.serial_imu,
        machine.clock_set,
    )
}
# Judged by what was lost, not by a time.
UNTIMED = {"disk full, then SIGKILL"}


def measure(names: list[str], fault_seconds: float) -> list[Outcome]:
    """Start the graph, inject the faults one after the other, return what they did."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        graph = FaultGraph(Path(folder), f"/faults_{os.getpid()}")
        graph.fault_seconds = fault_seconds
        try:
            graph.start("encoder", {"threads": 1})
            graph.start("detector", {"threads": 1})
            graph.start("fusion", {"slop": 0.2})
            graph.senses.wait_for_subscribers()
            graph.senses.start()
            started = time.monotonic()
            for result in (*RATES, "fused", "detections"):
                graph.require(lambda r=result: graph.heard_since(r, started), f"{result} before any fault")
            for name in names:
                for outcome in CASES[name](graph):
                    print(_line(outcome), file=sys.stderr, flush=True)
                    outcomes.append(outcome)
            graph.require_well(("encoder", "detector", "fusion"))
        finally:
            graph.close()
    return outcomes


def _line(outcome: Outcome) -> str:
    recovery = "-" if outcome.recovery is None else f"{outcome.recovery:.2f}"
    lost = "-" if outcome.lost is None else str(outcome.lost)
    return f"{outcome.fault:34} {outcome.part:24} {recovery:>8} {lost:>6}  {outcome.happened}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(CASES), metavar="A,B", help="of " + ", ".join(CASES))
    parser.add_argument("--fault-seconds", type=float, default=6.0, metavar="S")
    parser.add_argument("--limit", type=float, default=3.0, metavar="S", help="longest recovery that passes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document there as well")
    args = parser.parse_args()
    names = args.only.split(",")
    if unknown := set(names) - CASES.keys():
        parser.error(f"unknown case {', '.join(sorted(unknown))}: use {', '.join(CASES)}")
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    outcomes = measure(names, args.fault_seconds)
    slow = [o for o in outcomes if o.recovery is None or o.recovery > args.limit]
    slow = [o for o in slow if o.fault not in UNTIMED or o.lost]
    document = {
        "limit_s": args.limit,
        "slow": len(slow),
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n")
    if args.json:
        print(json.dumps(document))
    else:
        print(f"{'fault':34} {'on':24} {'recovery':>8} {'lost':>6}  what happened")
        print("\n".join(map(_line, outcomes)))
        print(f"{len(outcomes)} faults, {len(slow)} took longer than {args.limit} s or did not come back")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
