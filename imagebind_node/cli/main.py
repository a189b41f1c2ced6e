"""`imagebind-node`: parse, dispatch, and turn every expected error into one line and exit status 2."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from imagebind_node.errors import ImagebindNodeError

PROGRAM = "imagebind-node"
BAD_INPUT = 2
INTERRUPTED = 130
# Characters of a complaint about an argument, which quotes it.
_LONGEST = 500

COMMANDS = {
    "demo": "start the real graph on bundled scenes: sounds find their objects",
    "up": "run the graph on this machine's sensors or topics, without ros2 launch",
    "view": "show in a browser what a running graph senses and finds, or a recording of that",
    "embed": "embeddings of files and words",
    "similarity": "cosine matrix of inputs of any modality",
    "classify": "zero-shot recognition among your own labels",
    "learn": "classes from a few examples each",
    "calibrate": "probabilities and the unknown class, fitted to labelled files",
    "retrieve": "find the files that fit a query of any modality",
    "index": "remember what folders, videos, sounds and bags hold",
    "memory": "look into a memory, upload it to a fleet's, forget",
    "detect": "boxes of the things in a picture that fit a sound, words, a picture or a sum of them",
    "generate": "pictures of what a query of any modality says",
    "evaluate": "retrieval and detection metrics on a dataset",
    "replay": "embeddings of a recording (rosbag2), the same every time",
    "pairs": "recordings to (picture, measurement) pairs to bind a sense with",
    "bind": "train a new sense, or a small student, to meet a frozen image-text space",
    "models": "list, pull, verify and export models",
    "bridge": "carry embeddings into another CLIP's space: fit or show a linear map",
    "bench": "speed and memory on this machine",
    "doctor": "what works here, and how to mend what does not",
}


class OneLineParser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line, not a page of usage."""

    def error(self, message: str) -> NoReturn:
        message = _one_line(message)
        shown = message if len(message) <= _LONGEST else message[:_LONGEST] + " ..."
        self.exit(BAD_INPUT, f"{self.prog}: error: {shown} (see {self.prog} --help)\n")


class _LazyCommands(argparse._SubParsersAction):
    """Imports a command's module only when that command is asked for."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        name = values[0]
        if name in COMMANDS and not self.choices[name].get_default("run"):
            command = import_module(f"imagebind_node.cli.{name}")
            subparser = self.choices[name]
            subparser.description = command.__doc__
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
        super().__call__(parser, namespace, values, option_string)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; a command adds its own arguments when it is asked for."""
    from imagebind_node import __version__

    parser = OneLineParser(prog=PROGRAM, description="Five senses of a robot in one embedding space.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.register("action", "lazy_commands", _LazyCommands)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", action="lazy_commands", parser_class=OneLineParser
    )
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 success, 2 bad input, 130 interrupted, others per command."""
    _print_any_name()
    try:
        args = build_parser().parse_args(argv)
        _start_logging(getattr(args, "verbose", 0))
        status = args.run(args)
        sys.stdout.flush()
        return status
    except ImagebindNodeError as error:
        print(f"{PROGRAM}: error: {_one_line(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain again when it closes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _print_any_name() -> None:
    """Names of files are bytes: what is no valid text is printed as \\udcXX, which JSON reads back."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _start_logging(verbose: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )


if __name__ == "__main__":
    sys.exit(main())
