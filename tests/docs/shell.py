"""Shell blocks of the documentation: each command is run, or checked as far as it can be without a robot.

Run: `imagebind-node` and `python`. Checked: `ros2 launch` (the file and its arguments exist), `ros2 run` (the program
exists), `ros2 service call` (the type exists and the request fills it), `make` (the target exists), and what runs for
minutes or until Ctrl-C (its options exist). Of the commands that set a machine up, only the syntax.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SETS_UP = {
    "git",
    "cd",
    "rosdep",
    "colcon",
    "source",
    "pip",
    "python3",
    "touch",
    "export",
    "sudo",
    "ssh",
    "torchrun",
}
TOO_LONG = {"up", "demo", "bench", "bind", "view", "bridge fit"}
GROUPS = {"bridge", "evaluate", "memory", "models"}
LONG_SCRIPTS = ("benchmarks/", "scripts/update_constraints.py")
LIMIT = 120.0


def run_block(text: str, folder: Path, *, run: bool = True) -> None:
    """Run (or only check) every command of a block in `folder`; AssertionError says which one failed and how."""
    syntax = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    assert syntax.returncode == 0, syntax.stderr
    for line in text.replace("\\\n", " ").splitlines():
        for command in re.split(r"\s&&\s", line.strip()):
            words = shlex.split(command, comments=True)
            if words:
                run_command(command, words, folder, run)


def run_command(command: str, words: list[str], folder: Path, run: bool) -> None:
    program = Path(words[0]).name
    if program in SETS_UP:
        return
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"no such target: {command}"
    elif program == "ros2":
        check_ros2(words[1:])
    elif program == "imagebind-node" and (not run or TOO_LONG & {words[1], " ".join(words[1:3])}):
        check_options(["imagebind-node", *subcommand(words)], words)
    elif program == "python" and (not run or words[1].startswith(LONG_SCRIPTS)):
        check_options([sys.executable, str(ROOT / words[1])], words)
    elif program in ("imagebind-node", "python"):
        done = execute(["bash", "-ec", command], folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    else:
        raise AssertionError(f"nothing says how to check this command: {command}")


def subcommand(words: list[str]) -> list[str]:
    """The words that choose the command: `bridge fit` of `imagebind-node bridge fit --to ...`."""
    return words[1 : 3 if words[1] in GROUPS else 2]


def execute(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=LIMIT
    )


@cache
def help_of(*command: str) -> str:
    done = execute([*command, "--help"])
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_options(command: list[str], words: list[str]) -> None:
    shown = set(re.findall(r"--[a-z][a-z-]*", help_of(*command)))
    asked = {word.split("=")[0] for word in words if word.startswith("--")}
    assert asked <= shown, f"{command}: no option {asked - shown}"


def check_ros2(words: list[str]) -> None:
    kind, *rest = words
    if kind == "launch":
        package, file, *arguments = rest
        assert package == "imagebind_node"
        # Arguments are declared one by one or from a table: either way their names stand there as strings.
        declared = set(re.findall(r'"(\w+)"', (ROOT / "launch" / file).read_text()))
        asked = {a.split(":=")[0] for a in arguments if ":=" in a}
        assert asked <= declared, f"{file}: no argument {asked - declared}"
    elif kind == "run":
        package, program = rest[:2]
        assert package == "imagebind_node"
        assert (Path(sys.executable).parent / program).exists(), program
    elif rest[:1] == ["call"]:
        _, _, type_name, request = rest
        package, family, name = type_name.split("/")
        fill(getattr(import_module(f"{package}.{family}"), name).Request(), yaml.safe_load(request))
    elif kind == "interface":
        package, family, name = rest[1].split("/")
        getattr(import_module(f"{package}.{family}"), name)
    else:
        # Topics, parameters and nodes are names of a running graph; tests/ros checks these.
        assert kind in ("topic", "param", "node", "lifecycle", "bag", "action"), words


def fill(message: Any, values: dict[str, Any]) -> Any:
    """Set the fields of a message as `ros2 service call` does; raises where a field or its type does not fit."""
    fields = message.get_fields_and_field_types()
    for name, value in values.items():
        assert name in fields, f"{type(message).__name__} has no field {name}"
        present = getattr(message, name)
        if isinstance(value, dict):
            fill(present, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            package, item = fields[name].removeprefix("sequence<").rstrip(">").split("/")
            made = getattr(import_module(f"{package}.msg"), item)
            setattr(message, name, [fill(made(), entry) for entry in value])
        else:
            setattr(message, name, value)
    return message
