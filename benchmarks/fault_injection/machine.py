"""Faults of the machine: nodes that are killed, a clock that is set, a disk that is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from senses import RATES

from fault_injection.graph import FaultGraph, Outcome

RESULTS = {"encoder": tuple(RATES), "detector": ("detections",), "fusion": ("fused",)}
RESPAWN_SECONDS = 1.0


def killed(graph: FaultGraph) -> Iterator[Outcome]:
    """Each node in turn is killed by SIGKILL and started again a second later."""
    for node, results in RESULTS.items():
        graph.kill(node)
        time.sleep(RESPAWN_SECONDS)
        back = time.monotonic()
        graph.restart(node)
        times = graph.recoveries(results, back)
        for result in results:
            yield Outcome("SIGKILL, started again", f"{node}: {result}", "serves as before", times[result])


def clock_set(graph: FaultGraph) -> Iterator[Outcome]:
    """The machine's clock is set by an hour either way: see clock.py, in a domain of its own while this one rests."""
    domain = int(os.environ.get("ROS_DOMAIN_ID", "0"))
    graph.senses.silent = set(RATES)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("clock.py"))],
        stdout=subprocess.PIPE,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain % 100 + 1)},
        check=False,
    )
    graph.senses.silent = set()
    graph.recoveries(RATES, time.monotonic())
    if done.returncode != 0:
        raise SystemExit("the case of the clock broke off: see above")
    yield from (Outcome(**fields) for fields in json.loads(done.stdout))


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system in memory of so many bytes; needs root."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(1 << 16))
        except OSError:
            pass
    return path


def disk_full(graph: FaultGraph) -> Iterator[Outcome]:
    """The disk of the memory is full for a while; then that of the logs."""
    with small_disk("160m") as disk:
        folder = disk / "memory"
        graph.start("memory", {"directory": folder, "novelty": 1.0, "thumbnails": "false"})
        stored = "memory: memory"
        graph.require(lambda: _stored(graph) > 50, "memories")
        ballast = fill(disk)
        time.sleep(graph.fault_seconds)
        message = graph.report(stored)[1] if graph.alive("memory") else "the process died"
        count = _stored(graph)
        ballast.unlink()
        back = time.monotonic()
        recovery = graph.wait(lambda: _stored(graph) > count)
        kept = _stored(graph)
        yield Outcome("disk full", "memory", message, recovery)
        graph.kill("memory")
        graph.restart("memory")
        graph.require(lambda: _memories(graph, back) is not None, "the memory after a restart")
        lost = max(0, kept - (_memories(graph, back) or 0))
        yield Outcome("disk full, then SIGKILL", "memory", f"{kept} acknowledged", None, lost)
        graph.kill("memory")


def _stored(graph: FaultGraph) -> int:
    status = graph.status.get(f"{graph.namespace}/memory: memory")
    return int(status[3].get("stored", 0)) if status else 0


def _memories(graph: FaultGraph, after: float) -> int | None:
    status = graph.status.get(f"{graph.namespace}/memory: memory")
    return int(status[3]["memories"]) if status and status[0] > after and "memories" in status[3] else None
