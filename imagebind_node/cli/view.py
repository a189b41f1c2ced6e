"""Show in a browser what a running graph senses and finds, or a recording of that, until Ctrl-C.

The page shows the camera with boxes and heat map, depth, thermal, the spectrogram with what was recognised, motion,
similarity to the query, a map of the embedding space, latency and drops. It is Rerun's web viewer, served by this
machine; nothing is asked of any other. Opening a recording needs no ROS.

examples:
  imagebind-node view                                      # then open the address that it prints
  imagebind-node view --bind 0.0.0.0 --namespace /robot1   # for other machines: there is no password
  imagebind-node view --record %Y%m%d_%H%M%S.rrd
  imagebind-node view monday.rrd
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import add_output_arguments, positive_int
from imagebind_node.cli.up import add_graph_arguments, graph_arguments
from imagebind_node.errors import DeviceError, InvalidInputError

if TYPE_CHECKING:
    from imagebind_node.view.server import ServerConfig

_PARAMETERS = ("bind_address", "web_port", "data_port", "record")
_MAGIC = b"RRF"
_LOOK_SECONDS = 0.5
# The server holds the whole recording, and needs room to serve it.
_MEMORY_FACTOR, _MEMORY_MB = 2, 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="recording (.rrd) to show instead")
    parser.add_argument(
        "--bind", dest="bind_address", metavar="IP", help="address to serve at (default: 127.0.0.1)"
    )
    parser.add_argument("--web-port", type=positive_int, metavar="N", help="of the page (default: 9090)")
    parser.add_argument("--data-port", type=positive_int, metavar="N", help="of its data (default: 9876)")
    parser.add_argument("--record", metavar="FILE", help="write everything to this .rrd file as well")
    add_graph_arguments(parser)
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.json:
        raise InvalidInputError("view has no --json: what it shows is on the topics and in its recordings")
    return _show_graph(args) if args.file is None else _show_file(args)


def _server_config(args: argparse.Namespace, **more: Any) -> ServerConfig:
    """Raises InvalidInputError."""
    from imagebind_node.view.server import ServerConfig

    chosen = {name: getattr(args, name) for name in ("bind_address", "web_port", "data_port")}
    return ServerConfig(**{name: value for name, value in chosen.items() if value is not None}, **more)


def _show_graph(args: argparse.Namespace) -> int:
    from imagebind_node.nodes.environment import prepare, require_ros

    _server_config(args)
    words = graph_arguments(args)
    for name in _PARAMETERS:
        value = getattr(args, name)
        if value is not None:
            words += ["-p", f"view:{name}:={json.dumps(value, ensure_ascii=False)}"]
    require_ros()
    prepare()
    from imagebind_node.nodes.up import up

    return up(["view"], None if args.params_file is None else str(args.params_file), words)


def _show_file(args: argparse.Namespace) -> int:
    from imagebind_node.view.server import ViewerServer

    if args.record:
        raise InvalidInputError("--record is for a running graph: FILE is a recording already")
    size = _recording_bytes(args.file)
    config = _server_config(args, memory_mb=_MEMORY_MB + _MEMORY_FACTOR * size // 1_000_000)
    server = ViewerServer(config, args.file)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    try:
        print(f"open {' or '.join(config.page_urls)}", flush=True)
        while not stop.wait(_LOOK_SECONDS):
            if not server.is_running:
                raise DeviceError(f"the view's server ended: {server.last_word()}")
    finally:
        server.stop()
    return 0


def _recording_bytes(path: Path) -> int:
    """Size of a recording. Raises InvalidInputError if it is none."""
    try:
        with path.open("rb") as stream:
            begin = stream.read(len(_MAGIC))
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from None
    if begin != _MAGIC:
        raise InvalidInputError(f"{path} is not a recording of the view: make one with `view --record FILE`")
    return path.stat().st_size
