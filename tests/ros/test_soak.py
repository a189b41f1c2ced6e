"""All five senses at once for seconds: nothing fails and no sound is lost (benchmarks/soak.py runs for longer)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.timeout(240)
def test_all_senses_at_once():
    command = [sys.executable, str(SOAK), "--minutes", "0.15", "--warm-up", "5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    # Status 1: a figure that a busy machine may miss.
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["exit_status"], found["failure"], found["errors"]) == (0, "", {}), done.stderr
    assert (found["audio_lost_frames"], found["audio_frames_not_received"]) == (0, 0)
    for modality in ("vision", "depth", "thermal", "audio", "imu", "fused"):
        assert found["embeddings_hz"][modality] > 0, (modality, found)
