"""Resident memory of this process over time, in what the kernel can take back and what it cannot."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil

_NAMES = {"rss": "VmRSS", "anonymous": "RssAnon", "file": "RssFile"}


def resident() -> dict[str, float]:
    """MiB: all; anonymous (heap); pages of mapped files, which the kernel can drop and read again."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: round(int(status[key].split()[0]) / 1024, 1) for name, key in _NAMES.items()}


def children() -> float:
    """MiB resident in child processes, all together."""
    total = 0
    for child in psutil.Process().children():
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return round(total / 2**20, 1)


class ResidentWatch:
    """Samples every 50 ms on a thread; `peak` is the greatest of each number since it was last asked for."""

    def __init__(self) -> None:
        self._peak: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def peak(self) -> dict[str, float]:
        """MiB since the last call."""
        found, self._peak = self._peak, {}
        return found

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        count = 0
        while not self._stopping.wait(0.05):
            now = resident()
            if count % 20 == 0:  # looks through all processes of the machine
                now["children"] = children()
            count += 1
            peak = self._peak
            for name, value in now.items():
                peak[name] = max(value, peak.get(name, 0.0))
