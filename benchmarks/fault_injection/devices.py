"""Faults of devices that our own drivers read: each goes away and comes back.

As real as can be without hardware: a sound server, a serial line (pty), servers of MJPEG and RTSP, files for the rest.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
import time
import tty
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
    with _in_place_of(graph, "vision", "camera", {"source": path, "loop": "true", "read_timeout": 0.5}):
        yield _unplug(graph, "camera", "vision", path.unlink, lambda: path.write_bytes(content), "(file)")


def camera_stream(graph: FaultGraph) -> Iterator[Outcome]:
    """The MJPEG server that the camera node reads from goes away and comes back."""
    from mjpeg_server import MjpegServer

    server = MjpegServer()
    server.start()
    with _in_place_of(graph, "vision", "camera", {"source": server.url, "read_timeout": 0.5}):
        yield _unplug(graph, "camera", "vision", server.stop, server.start, "(MJPEG stream)")
    server.stop()


def camera_rtsp(graph: FaultGraph) -> Iterator[Outcome]:
    """The RTSP server that the camera node reads from is killed by SIGKILL and started again."""
    server = RtspServer()
    if not server.start():
        yield Outcome(
            "unplugged, plugged in", "camera (RTSP stream)", "not tried: no GStreamer RTSP server", None
        )
        return
    with _in_place_of(graph, "vision", "camera", {"source": server.url, "read_timeout": 0.5}):
        yield _unplug(graph, "camera", "vision", server.stop, server.start, "(RTSP stream)")
    server.stop()


def thermal_file(graph: FaultGraph) -> Iterator[Outcome]:
    """The 16-bit pictures that the thermal node plays vanish and come back."""
    folder, away = graph.folder / "thermal", graph.folder / "thermal_away"
    folder.mkdir()
    counts = np.random.default_rng(0).integers(29000, 31000, (120, 160)).astype(np.uint16)
    for index in range(10):
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.roll(counts, 10 * index, 1))
    source = folder / "%03d.png"
    unplug, plug = (lambda: folder.rename(away)), (lambda: away.rename(folder))
    with _in_place_of(
        graph, "thermal", "thermal", {"source": source, "fps": 10.0, "loop": "true", "read_timeout": 0.5}
    ):
        yield _unplug(graph, "thermal", "thermal", unplug, plug, "(files)")


def serial_imu(graph: FaultGraph) -> Iterator[Outcome]:
    """The serial line of the IMU hangs up, and another one takes its name, as when a USB adapter is pulled."""
    line = SerialLine(graph.folder / "ttyIMU")
    line.plug()
    with _in_place_of(graph, "imu", "imu", {"port": line.link}):
        yield _unplug(graph, "imu", "imu", line.unplug, line.plug, "(serial line)")
    line.unplug()


class SerialLine:
    """A pty behind a link, on which 100 measurements a second come."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def plug(self) -> None:
        """Open a new line."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.link.symlink_to(os.ttyname(slave))
        self._stop.clear()
        self._thread = threading.Thread(target=self._talk, args=(master, slave), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Hang up."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self.link.unlink()

    def _talk(self, master: int, slave: int) -> None:
        number = 0
        while not self._stop.wait(0.01):
            number += 1
            # Nobody may be reading: then the line is full.
            with contextlib.suppress(BlockingIOError):
                os.write(
                    master, b"%.3f,0.1,9.8,0,%.3f,0\n" % (2 * np.sin(number / 8), np.cos(number / 8) / 2)
                )
        os.close(slave)
        os.close(master)


class RtspServer:
    """The tests' RTSP camera in a process of its own, on the same port each time."""

    def __init__(self) -> None:
        self.url = ""
        self._port = "0"
        self._process: subprocess.Popen | None = None

    def start(self) -> bool:
        """False if the system has no GStreamer RTSP server."""
        script = Path(sys.path[-1]) / "sensors" / "rtsp_server.py"
        command = ["/usr/bin/python3", str(script), self._port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip() or self.url
        self._port = self.url.rpartition(":")[2].partition("/")[0]
        return self._process.poll() is None and bool(self.url)

    def stop(self) -> None:
        """SIGKILL: no stream is closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def _in_place_of(graph: FaultGraph, sense: str, node: str, parameters: dict[str, object]) -> Iterator[None]:
    """A driver node publishes `sense` while the graph's own publisher of it is silent."""
    graph.senses.silent.add(sense)
    graph.start(node, parameters)
    yield
    graph.kill(node)
    graph.senses.silent.discard(sense)


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
