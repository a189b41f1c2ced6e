"""The whole graph in one process: samples go from driver to encoder to detector by reference.

python -m imagebind_node.nodes.up --nodes camera,microphone,encoder,detector --ros-args --params-file F
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import yaml

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.executor import run
from imagebind_node.streaming.exchange import Exchange

NODES = {
    "camera": "CameraNode",
    "realsense": "RealSenseNode",
    "thermal": "ThermalNode",
    "microphone": "MicrophoneNode",
    "imu": "ImuNode",
    "replay": "ReplayNode",
    "encoder": "EncoderNode",
    "detector": "DetectorNode",
    "fusion": "FusionNode",
    "memory": "MemoryNode",
    "recognizer": "RecognizerNode",
    "generator": "GeneratorNode",
    "view": "ViewNode",
}
DEFAULT_NODES = ("camera", "microphone", "encoder", "detector")


def build_nodes(names: Sequence[str], exchange: Exchange | None = None) -> list[ManagedNode]:
    """Make the nodes called `names`, sharing one exchange. Raises InvalidInputError for an unknown name."""
    unknown = [name for name in names if name not in NODES]
    if unknown or not names:
        raise InvalidInputError(
            f"unknown node {', '.join(unknown) or '(none)'}: use any of {', '.join(NODES)}"
        )
    exchange = exchange or Exchange()
    made = []
    for name in names:
        module = import_module(f"imagebind_node.nodes.{name}")
        made.append(getattr(module, NODES[name])(exchange=exchange))
    return made


def up(
    names: Sequence[str] = DEFAULT_NODES,
    params_file: str | None = None,
    ros_args: Sequence[str] = (),
) -> int:
    """Run the nodes until SIGINT; returns the exit status. `ros_args` follow `--ros-args`."""
    words, addressed = split_addressed(ros_args)
    if params_file:
        words += ["--params-file", params_file]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        if addressed:
            yaml.safe_dump(addressed, file)
            file.flush()
            # Last: what was said on the command line wins over files.
            words += ["--params-file", file.name]
        return run(lambda: build_nodes(names), ["up", "--ros-args", *words] if words else ["up"])


def split_addressed(ros_args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take the rules `-p NODE:NAME:=VALUE` out of ROS arguments, as the content of a parameter file.

    ROS itself would look for such a node in the root namespace only; here it is meant in any.
    """
    words: list[str] = []
    addressed: dict[str, Any] = {}
    rest = iter(ros_args)
    for word in rest:
        if word not in ("-p", "--param"):
            words.append(word)
            continue
        rule = next(rest, "")
        name, _, value = rule.partition(":=")
        node, colon, key = name.partition(":")
        if not colon:
            words += [word, rule]
            continue
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InvalidInputError(f"parameter {rule!r}: the value is not YAML") from None
        parameters = addressed.setdefault(f"/**/{node}", {"ros__parameters": {}})["ros__parameters"]
        parameters[key] = parsed
    return words, addressed


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `up`."""
    words = list(sys.argv[1:] if args is None else args)
    split = words.index("--ros-args") if "--ros-args" in words else len(words)
    parser = argparse.ArgumentParser(prog="up", description="The whole graph in one process.")
    parser.add_argument(
        "--nodes", default=",".join(DEFAULT_NODES), help="comma-separated, of: " + ", ".join(NODES)
    )
    parser.add_argument("--params-file", help="ROS parameter file")
    options = parser.parse_args(words[:split])
    names = [name.strip() for name in options.nodes.split(",") if name.strip()]
    try:
        return up(names, options.params_file, words[split + 1 :])
    except InvalidInputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
