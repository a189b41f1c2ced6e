"""Looking at a library from a process of its own: some end this one, or do not bear each other in one."""

from __future__ import annotations

import subprocess
import sys

_SECONDS = 30.0


def run_child(code: str) -> tuple[list[str], str]:
    """Run Python code; returns (lines that it printed, reason why it failed or "")."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer in {_SECONDS:.0f} s"
    lines = done.stderr.strip().splitlines()
    reason = "" if done.returncode == 0 else (lines[-1] if lines else f"ended with status {done.returncode}")
    return done.stdout.splitlines(), reason
