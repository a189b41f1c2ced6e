"""Faults of devices that our own drivers read: a microphone, a camera's file, a camera's stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fault_injection.graph import FaultGraph, Outcome

# The virtual microphone (PulseAudio) and the network camera are the tests' own.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))


def microphone(graph: FaultGraph) -> Iterator[Outcome]:
    """The sound server, for PortAudio the device, is killed by SIGKILL and started again."""
    from virtual_microphone import VirtualMicrophone, missing_tools

    if missing_tools():
        yield Outcome("unplugged", "microphone", f"not tried: {', '.join(missing_tools())} missing", None)
        return
    device = VirtualMicrophone()
    device.start()
    graph.senses.silent.add("audio")
    try:
        graph.start("microphone", {}, device.environment)
        yield _unplug(graph, "microphone", "audio", device.unplug, device.start)
    finally:
        graph.kill("microphone")
        device.stop()
        graph.senses.silent.discard("audio")


def camera_file(graph: FaultGraph) -> Iterator[Outcome]:
    """The video that the camera node plays vanishes and comes back."""
    path, content = graph.folder / "camera.avi", _video(graph.folder / "made.avi")
    path.write_bytes(content)
    graph.senses.silent.add("vision")
    graph.start("camera", {"source": path, "loop": "true", "read_timeout": 0.5})
    yield _unplug(graph, "camera", "vision", path.unlink, lambda: path.write_bytes(content), "(file)")
    graph.kill("camera")
    graph.senses.silent.discard("vision")


def camera_stream(graph: FaultGraph) -> Iterator[Outcome]:
    """The MJPEG server that the camera node reads from goes away and comes back."""
    from mjpeg_server import MjpegServer

    server = MjpegServer()
    server.start()
    graph.senses.silent.add("vision")
    graph.start("camera", {"source": server.url, "read_timeout": 0.5})
    yield _unplug(graph, "camera", "vision", server.stop, server.start, "(MJPEG stream)")
    graph.kill("camera")
    server.stop()
    graph.senses.silent.discard("vision")


def _unplug(graph: FaultGraph, node: str, sense: str, unplug, plug, note: str = "") -> Outcome:
    driver = f"{node}: driver"
    started = time.monotonic()
    graph.require(lambda: graph.heard_since(sense, started), f"embeddings from {node}")
    unplug()
    # Long enough for the driver to reach its longest pause between two attempts.
    time.sleep(max(3.0, graph.fault_seconds))
    message = graph.report(driver)[1]
    lost_before = int(graph.status[f"{graph.namespace}/{driver}"][3]["lost"])
    plug()
    recovery = graph.recoveries([sense], time.monotonic())[sense]
    graph.report(driver)
    lost = int(graph.status[f"{graph.namespace}/{driver}"][3]["lost"]) - lost_before
    return Outcome("unplugged, plugged in", f"{node} {note}".strip(), message, recovery, lost)


def _video(path: Path) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15.0, (640, 480))
    for index in range(30):
        writer.write(np.full((480, 640, 3), (10, 8 * index, 240), np.uint8))
    writer.release()
    return path.read_bytes()
