#!/usr/bin/env python3
"""What the live view costs: while nobody looks, while somebody looks, while it records.

    python benchmarks/view.py [--seconds 30] [--json]

Five senses are published over DDS (camera 640x480 at 15 Hz, depth and thermal at 10 Hz, 16 kHz sound, an IMU at 200 Hz)
to an encoder, a detector and the view, a process each. Printed: processor time of the view node and of the server that
it starts, in % of one core. Who looks is Rerun's own program without a window, which costs a viewer's network traffic
and none of its drawing. Exit status 1 if more than 5 % of a core are used while nobody looks.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from imagebind_node.demo.processes import NodeProcesses
from imagebind_node.nodes.environment import prepare

TARGET = 5.0
START_SECONDS = 60.0
SETTLE_SECONDS = 5.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the view did not start")


def view_processes() -> tuple[psutil.Process, psutil.Process]:
    """The node and its server."""
    for child in psutil.Process().children():
        if "imagebind_node.nodes.view" in child.cmdline():
            return child, child.children()[0]
    raise SystemExit("the view has ended")


def usage(seconds: float) -> dict[str, float]:
    """Processor time of node and server over the next `seconds`, in % of a core."""
    time.sleep(SETTLE_SECONDS)
    processes = dict(zip(("node", "server"), view_processes()))

    def used() -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in processes.items()}
        return {name: t.user + t.system for name, t in times.items()}

    before, begun = used(), time.monotonic()
    time.sleep(seconds)
    after, elapsed = used(), time.monotonic() - begun
    return {name: 100 * (after[name] - before[name]) / elapsed for name in after}


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """State of the view -> part -> % of a core."""
    from imagebind_node.view.server import ServerConfig, rerun_program

    namespace = f"/benchmark_{os.getpid()}"
    figures = {}
    with tempfile.TemporaryDirectory() as scratch, NodeProcesses(namespace, Path(scratch)) as graph:
        senses = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("senses.py")), "--namespace", namespace],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            graph.start("encoder", {"threads": 1})
            graph.start("detector", {"threads": 1})
            for state in ("nobody looks", "one looks", "records, nobody looks"):
                config = ServerConfig(web_port=free_port(), data_port=free_port())
                parameters = {"web_port": config.web_port, "data_port": config.data_port}
                if state.startswith("records"):
                    parameters["record"] = str(Path(scratch) / "run.rrd")
                graph.start("view", parameters)
                wait_for(config.web_port)
                viewer = None
                if state == "one looks":
                    viewer = subprocess.Popen(
                        [rerun_program(), config.data_url, "--save", str(Path(scratch) / "seen.rrd")],
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                figures[state] = usage(seconds)
                graph.require_running()
                if viewer is not None:
                    viewer.terminate()
                    viewer.wait()
                graph.stop("view")
        finally:
            senses.terminate()
            senses.wait()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each of the three states")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    prepare()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    load = os.getloadavg()[0]
    figures = measure(args.seconds)
    idle = sum(figures["nobody looks"].values())
    if args.json:
        print(json.dumps({"percent_of_a_core": figures, "load_average_before": load, "target": TARGET}))
    else:
        print(f"load before: {load:.2f}; % of a core")
        for state, parts in figures.items():
            print(f"{state:24}" + "".join(f"{name} {value:5.2f}   " for name, value in parts.items()))
        print(f"while nobody looks {idle:.2f}, at most {TARGET:.0f} wanted")
    return int(idle > TARGET)


if __name__ == "__main__":
    sys.exit(main())
