"""Faults injected into the running graph of processes: it serves again after each (all: benchmarks/faults.py)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.timeout(300)
def test_the_graph_serves_again_after_each_fault():
    cases = "killed,publisher_killed,camera_stream,unusable_signals"
    command = [
        sys.executable,
        str(FAULTS),
        "--only",
        cases,
        "--fault-seconds",
        "1",
        "--limit",
        "60",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    # Status 1 would say that something did not come back; a traceback in a node's log ends it with a message.
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])["outcomes"]
    parts = {outcome["part"] for outcome in outcomes}
    assert {"encoder: vision", "detector: detections", "fusion: fused", "audio", "imu"} <= parts
    assert all(outcome["recovery"] is not None for outcome in outcomes), outcomes
