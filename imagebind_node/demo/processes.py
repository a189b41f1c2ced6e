"""The nodes of the demo's graph, each in a process of its own, ended together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from imagebind_node.errors import DeviceError

_END_SECONDS = 5.0


class NodeProcesses:
    """Starts node executables as child processes; leaving the `with` block ends all of them."""

    def __init__(self, namespace: str, log_folder: Path) -> None:
        """namespace: of every node, such as '/demo'; log_folder: one log file a node is written there."""
        self._namespace = namespace
        self._log_folder = log_folder
        self._running: dict[str, subprocess.Popen] = {}

    def start(self, node: str, parameters: Mapping[str, object]) -> None:
        """Start `imagebind_node.nodes.<node>` with ROS parameters."""
        command = [sys.executable, "-m", f"imagebind_node.nodes.{node}"]
        command += ["--ros-args", "-r", f"__ns:={self._namespace}"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={_yaml(value)}"]
        with self.log_of(node).open("ab") as log:
            self._running[node] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
            )

    def log_of(self, node: str) -> Path:
        """Where the node writes its log."""
        return self._log_folder / f"{node}.log"

    def last_word(self, node: str) -> str:
        """Last line of the node's log."""
        lines = self.log_of(node).read_text("utf8", "replace").strip().splitlines()
        return lines[-1] if lines else "it wrote no log"

    def require_running(self) -> None:
        """Raise DeviceError with the last line of its log if a node has ended by itself."""
        for node, process in self._running.items():
            if process.poll() not in (None, 0):
                raise DeviceError(
                    f"node {node} ended with status {process.returncode}: {self.last_word(node)}"
                )

    def stop(self, node: str) -> int:
        """Interrupt one node like Ctrl-C, wait, kill it if it does not end; returns its exit status."""
        process = self._running.pop(node)
        if process.poll() is None:
            process.send_signal(2)
        try:
            return process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def __enter__(self) -> NodeProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(2)
        deadline = time.monotonic() + _END_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return f'"{value}"' if isinstance(value, (str, Path)) else str(value)
