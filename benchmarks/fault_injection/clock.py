"""The machine's clock is set by an hour either way, in a graph of its own.

    python benchmarks/fault_injection/clock.py     # prints the outcomes, one JSON document

libfaketime moves the clock of encoder and fusion; the publisher stays outside (under libfaketime Python cannot sleep)
and shifts its stamps. So processes of one machine have different clocks, which no real machine does: Fast DDS keeps
the wall clock time of its last look in shared memory, and who publishes would write to the port of a reader that has
ended until its own clock has caught up. Hence the DDS domain of its own, left when the case ends.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from senses import RATES

from fault_injection.graph import FaultGraph, Outcome

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
RESULTS = (*RATES, "fused")


def clock_set(graph: FaultGraph, offset: Path) -> Iterator[Outcome]:
    """The clock of encoder and fusion follows `offset`: an hour ahead, then back."""
    seconds = 0
    for hours in (1, -1):
        seconds += hours * 3600
        before = graph.counters("clock jumps", RATES)
        _write(offset, f"{seconds:+d}s")
        graph.senses.clock = lambda seconds=seconds: time.time_ns() + seconds * 10**9
        times = graph.recoveries(RESULTS, time.monotonic())
        jumps = graph.counters("clock jumps", RATES)
        for result in RESULTS:
            counted = f"clock jumps: {jumps[result] - before[result]}" if result in jumps else "goes on"
            yield Outcome(f"machine's clock set by {hours:+d} h", result, counted, times[result])


def _write(path: Path, text: str) -> None:
    """In one go: libfaketime must not read an empty file."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def main() -> int:
    if FAKETIME is None:
        raise SystemExit("the clock cannot be set without libfaketime: apt-get install libfaketime")
    with tempfile.TemporaryDirectory() as folder:
        offset = Path(folder) / "clock"
        _write(offset, "+0s")
        environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        graph = FaultGraph(Path(folder), f"/clock_{os.getpid()}")
        try:
            graph.start("encoder", {"threads": 1}, environment)
            graph.start("fusion", {"slop": 0.2}, environment)
            graph.senses.wait_for_subscribers()
            graph.senses.start()
            started = time.monotonic()
            for result in RESULTS:
                graph.require(
                    lambda r=result: graph.heard_since(r, started), f"{result} before the clock is set"
                )
            outcomes = list(clock_set(graph, offset))
            graph.require_well(("encoder", "fusion"))
        finally:
            graph.close()
    print(json.dumps([asdict(outcome) for outcome in outcomes]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
