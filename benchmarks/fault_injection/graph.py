"""The graph that faults are injected into: node processes as launch starts them, five senses, and what is heard."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from senses import Senses

PATIENCE = 60.0


@dataclass
class Outcome:
    """What one fault did. recovery: s from the return of the source to the first result (None: never).

    lost: samples that were published, fit for use, and never reached the encoder; None where that has no meaning.
    """

    fault: str
    part: str
    happened: str
    recovery: float | None
    lost: int | None = None


class FaultGraph:
    """Node processes in a namespace of their own, fed by `senses`."""

    def __init__(self, folder: Path, namespace: str, senses: Senses | None = None) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from vision_msgs.msg import Detection2DArray

        from imagebind_node.nodes import qos

        self.folder, self.namespace = folder, namespace
        # How long a fault lasts. The diagnostics look back for 5 s: shorter faults mix with what was before.
        self.fault_seconds = 6.0
        self.senses = senses or Senses(namespace)
        self.status: dict[str, tuple[float, bytes, str, dict[str, str]]] = {}
        self.senses.heard["detections"] = []
        subscribe = self.senses.node.create_subscription
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        subscribe(Detection2DArray, "detections", self._on_detections, qos.RESULT)
        self._processes: dict[str, subprocess.Popen] = {}
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}

    def start(
        self, node: str, parameters: Mapping[str, object], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a node in a process of its own."""
        command = [sys.executable, "-m", f"imagebind_node.nodes.{node}"]
        command += ["--ros-args", "-r", f"__ns:={self.namespace}"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        self._commands[node] = command, {**os.environ, **(environment or {})}
        self.restart(node)

    def restart(self, node: str) -> None:
        """Start a node again as it was, as `respawn` of launch does."""
        command, environment = self._commands[node]
        with self.log_of(node).open("ab") as log:
            self._processes[node] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def kill(self, node: str) -> None:
        """SIGKILL: no handler runs, nothing is said."""
        self._processes[node].kill()
        self._processes[node].wait()

    def alive(self, node: str) -> bool:
        """True while the process runs."""
        return self._processes[node].poll() is None

    def log_of(self, node: str) -> Path:
        """What the node writes to its console."""
        return self.folder / f"{node}.log"

    def close(self) -> None:
        """Interrupt all and wait; kills what does not end."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(2)
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.senses.close()

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> float | None:
        """Seconds until `condition()` holds; None if it never does."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds:
                return None
            time.sleep(0.005)
        return time.monotonic() - begin

    def require(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something without which there is nothing to measure."""
        if self.wait(condition) is None:
            logs = "\n".join(self.log_of(node).read_text(errors="replace")[-2000:] for node in self._commands)
            raise SystemExit(f"did not happen: {what}\n{logs}")

    def require_well(self, nodes: Iterable[str]) -> None:
        """End the program if one of `nodes` has ended, or raised what nobody foresaw."""
        for node in nodes:
            log = self.log_of(node).read_text(errors="replace")
            if not self.alive(node) or "Traceback" in log:
                raise SystemExit(f"{node} ended, or raised what nobody foresaw:\n{log[-3000:]}")

    def heard_since(self, result: str, when: float) -> bool:
        """True if a result that arrived after `when` (monotonic) is stamped after it, too."""
        stamped = self.senses.clock() - round((time.monotonic() - when) * 1e9)
        return any(a > when and s >= stamped for a, s in self.senses.heard[result][-200:])

    def recoveries(self, results: Iterable[str], back: float) -> dict[str, float | None]:
        """For each result, s from `back` (monotonic) to the first one that is stamped after it."""
        stamped = self.senses.clock() - round((time.monotonic() - back) * 1e9)

        def first(result: str) -> float | None:
            later = (a for a, s in list(self.senses.heard[result]) if a > back and s >= stamped)
            return next(later, None)

        self.wait(lambda: all(first(result) for result in results))
        times = {result: first(result) for result in results}
        return {result: None if when is None else when - back for result, when in times.items()}

    def report(self, name: str, after: float | None = None) -> tuple[bytes, str, dict[str, str]]:
        """Level, message and values of `node: part`, published after `after` (monotonic; default: now)."""
        after = time.monotonic() if after is None else after
        full = f"{self.namespace}/{name}"
        # Two: the first may have been made before and have been under way.
        for _ in range(2):
            self.require(
                lambda seen=after: full in self.status and self.status[full][0] > seen,
                f"diagnostics of {name}",
            )
            after = self.status[full][0]
        return self.status[full][1:]

    def counters(self, key: str, names: Iterable[str]) -> dict[str, int]:
        """A counter of several parts of the encoder, fresh; 0 where there is none."""
        names = list(names)
        self.report(f"encoder: {names[0]}")
        values = {name: self.status[f"{self.namespace}/encoder: {name}"][3] for name in names}
        return {name: int(float(values[name].get(key, 0) or 0)) for name in names}

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.status[status.name] = time.monotonic(), status.level, status.message, values

    def _on_detections(self, message: Any) -> None:
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.senses.heard["detections"].append((time.monotonic(), stamp))
