"""Run the graph on this machine's sensors or on topics, all nodes in one process, until Ctrl-C.

examples:
  imagebind-node up
  imagebind-node up --params-file config/robot.yaml --namespace /robot1
  imagebind-node up --nodes encoder,detector --param encoder.hop:=0.2
  imagebind-node up --nodes camera,microphone,encoder,memory,recognizer
  imagebind-node up --nodes replay,encoder,detector --param replay.audio:=bark.wav --param replay.images:=yard.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imagebind_node.cli.options import add_output_arguments
from imagebind_node.errors import InvalidInputError

_MODEL_NODES = ("encoder", "detector", "memory", "recognizer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--nodes",
        default="camera,microphone,encoder,detector",
        metavar="A,B",
        help="of camera, realsense, thermal, microphone, imu, replay, encoder, detector, fusion, memory, "
        "recognizer, generator, view "
        "(default: camera, microphone, encoder, detector)",
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="NODE.NAME:=VALUE", help="one parameter of one node"
    )
    add_graph_arguments(parser)
    group = parser.add_argument_group("model of the nodes that have one (default: by their parameters)")
    for name in ("model", "device", "precision", "checkpoint"):
        group.add_argument(f"--{name}", metavar=name.upper())
    add_output_arguments(parser)


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """In which graph the nodes are; see `graph_arguments`."""
    parser.add_argument("--params-file", type=Path, metavar="FILE", help="ROS parameter file")
    parser.add_argument("--namespace", metavar="NS", help="namespace of every node, such as /robot1")
    parser.add_argument(
        "--remap", action="append", default=[], metavar="FROM:=TO", help="rename a topic, service or node"
    )
    parser.add_argument("--use-sim-time", action="store_true", help="take the time from /clock")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warn, error or fatal")


def run(args: argparse.Namespace) -> int:
    if args.json:
        raise InvalidInputError(
            "up has no --json: its results are on the topics (ros2 topic echo /detections)"
        )
    names = [name.strip() for name in args.nodes.split(",") if name.strip()]
    ros_args = ros_arguments(args)

    from imagebind_node.nodes.environment import prepare, require_ros

    require_ros()
    prepare()
    from imagebind_node.nodes.up import up

    return up(names, None if args.params_file is None else str(args.params_file), ros_args)


def ros_arguments(args: argparse.Namespace) -> list[str]:
    """What follows `--ros-args`. Raises InvalidInputError."""
    words = graph_arguments(args)
    for name in ("model", "device", "precision", "checkpoint"):
        value = getattr(args, name)
        if value is not None:
            words += [word for node in _MODEL_NODES for word in ("-p", f"{node}:{name}:={value}")]
    for entry in args.param:
        node, dot, setting = entry.partition(".")
        if not dot or ":=" not in setting:
            raise InvalidInputError(f"--param {entry}: write NODE.NAME:=VALUE, such as encoder.hop:=0.2")
        words += ["-p", f"{node}:{setting}"]
    return words


def graph_arguments(args: argparse.Namespace) -> list[str]:
    """Of `ros_arguments`, what says in which graph the nodes are."""
    if args.params_file is not None and not args.params_file.is_file():
        raise InvalidInputError(f"{args.params_file}: no such parameter file: see config/ for examples")
    words: list[str] = []
    for entry in args.remap:
        if ":=" not in entry:
            raise InvalidInputError(f"--remap {entry}: write FROM:=TO, such as camera/image_raw:=/cam/image")
        words += ["-r", entry]
    if args.use_sim_time:
        words += ["-p", "use_sim_time:=true"]
    if args.namespace:
        words += ["-r", f"__ns:=/{args.namespace.strip('/')}"]
    if args.log_level:
        words += ["--log-level", args.log_level]
    return words
