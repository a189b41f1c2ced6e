"""The command line against arguments and files that nobody meant: one line, status 0 or 2, never a traceback or hang.

FUZZ_EXAMPLES=2000 tries more than CI does; what it finds is kept in .hypothesis and tried first the next time.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rosbags")

from hostile import damage, exchanged, make_bags, make_files

from imagebind_node.cli.main import COMMANDS, OneLineParser
from imagebind_node.cli.up import ros_arguments
from imagebind_node.errors import InvalidInputError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
# Long by design, or talking to the network: only their arguments are parsed.
PARSED_ONLY = {"demo", "up", "bench", "doctor", "view"}
NOT_RUN = {"pull", "upload", "--ray"}


@pytest.fixture(scope="module", autouse=True)
def models_loaded_once():
    """Every call loads its model anew; the same towers need no second reading here."""
    from imagebind_node.encoders import base

    patch = pytest.MonkeyPatch()
    load = base.load_encoder

    loaded: dict[str, Any] = {}

    def load_once(name, **options):
        wanted = options.get("modalities")
        key = repr((name, {**options, "modalities": None if wanted is None else sorted(wanted)}))
        if key not in loaded:
            loaded[key] = load(name, **options)
        return loaded[key]

    patch.setattr(base, "load_encoder", load_once)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    make_files(folder)
    make_bags(folder)
    return folder


@pytest.fixture
def here(tmp_path_factory, files, monkeypatch):
    """The working directory of a call: a copy of the good files, which it may do with as it likes."""
    folder = tmp_path_factory.mktemp("here") / "cwd"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder


def judge(cli, *words: object) -> int:
    """Call, and hold the outcome against the promise of docs/cli.md. Returns the status."""
    outcome = cli(*words)
    assert outcome.status in (0, 2), outcome
    assert "Traceback" not in outcome.err + outcome.out
    if outcome.status == 2:
        assert outcome.out == ""
        lines = [line for line in outcome.err.splitlines() if not line.startswith("WARNING ")]
        assert len(lines) == 1, outcome.err
        assert "error: " in lines[0]
        assert len(lines[0]) < 2000
    elif "--json" in words:
        json.loads(outcome.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return outcome.status


@functools.cache
def parser_of(command: str) -> argparse.ArgumentParser:
    parser = OneLineParser(prog=command)
    import_module(f"imagebind_node.cli.{command}").add_arguments(parser)
    return parser


ODD = [
    "",
    " ",
    "-",
    "--",
    "-1",
    "0",
    "nan",
    "inf",
    "1e999",
    "99999999999999999999",
    "a\nb",
    "\udcff",
    "é",
    "a,b",
    ",",
    "=",
]
ODD += [
    "text:",
    "text:a",
    "audio:",
    "depth:a.png",
    "image:a.png + audio:a.wav",
    "0.5 * text:a",
    "9e999 * text:a",
    "embedding:x",
]
ODD += [
    "embedding:vector.json",
    "smell:a",
    "a + b",
    "- ",
    "x" * 5000,
    "2026-01-31",
    "0001-01-01",
    "1,2,3,4",
    "{}",
    "concept",
]
ODD += [
    "audio",
    "vision",
    "cuda",
    "mps",
    "/camera/image_raw",
    "/audio",
    "ranges",
    "os:system",
    "owlvit:.",
    "1,0,0",
    "file",
    ".",
]
FILES = [
    "a.png",
    "a.jpg",
    "a.wav",
    "a.avi",
    "depth.npy",
    "depth.npz",
    "imu.csv",
    "words.txt",
    "classes.yaml",
    "mcap",
    "sqlite3",
]
FILES += [
    "vector.json",
    "pairs.json",
    "scenes.json",
    "reference_small.safetensors",
    "reference_small_inputs.npz",
    "missing.wav",
]
# No walks through the whole disk, and no byte that an argument cannot hold.
TEXT = st.text(max_size=8).filter(lambda text: not set("/\0~") & set(text) and text.strip(".") == text)
VALUES = st.one_of(st.sampled_from(FILES), st.sampled_from(ODD), TEXT)


@st.composite
def arguments(draw, parser: argparse.ArgumentParser) -> list[str]:
    """Words for a parser: some of its options, some values; mostly plausible, seldom right."""
    words: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            name = draw(st.sampled_from(sorted(action.choices)))
            return [*words, name, *draw(arguments(action.choices[name]))]
        if isinstance(action, (argparse._HelpAction, argparse._VersionAction)):
            continue
        needed = action.required or not action.option_strings
        if draw(st.integers(0, 9)) >= (9 if needed else 2):
            continue
        words += action.option_strings[-1:]
        if action.nargs == 0:
            continue
        count = draw(st.integers(0, 3)) if action.nargs in ("*", "+") else 1
        value = st.one_of(VALUES, st.sampled_from(sorted(action.choices))) if action.choices else VALUES
        words += [draw(value) for _ in range(count)]
    if draw(st.booleans()) and "--json" in parser._option_string_actions:
        words.append("--json")
    return words


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", sorted(COMMANDS))
@FUZZ
@given(data=st.data())
def test_arguments(cli, here, command, data):
    words = data.draw(arguments(parser_of(command)))
    if NOT_RUN & set(words):
        return
    if command in PARSED_ONLY:
        with contextlib.suppress(SystemExit, InvalidInputError):
            parsed = parser_of(command).parse_args(words)
            if command == "up":
                from imagebind_node.nodes.up import split_addressed

                split_addressed(ros_arguments(parsed))
        return
    judge(cli, command, *words)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.png", ["embed", "a.png", "--json"]),
        ("a.jpg", ["embed", "a.jpg"]),
        ("a.wav", ["embed", "audio:a.wav + text:dog", "--json"]),
        ("a.flac", ["embed", "audio:a.flac"]),
        ("a.avi", ["embed", "video:a.avi"]),
        ("depth.npz", ["embed", "depth:depth.npz"]),
        ("depth.npy", ["embed", "thermal:depth.npy"]),
        ("imu.csv", ["embed", "imu.csv", "--json"]),
        ("words.txt", ["retrieve", "text:dog", "--among", "words.txt"]),
        ("classes.yaml", ["classify", "text:dog", "--class-set", "classes.yaml", "--json"]),
        ("vector.json", ["similarity", "text:a", "--with", "embedding:vector.json"]),
        ("pairs.json", ["evaluate", "retrieval", "pairs.json", "--json"]),
        ("scenes.json", ["evaluate", "detection", "scenes.json"]),
        (
            "reference_small.safetensors",
            [
                "embed",
                "text:a",
                "--checkpoint",
                "reference_small.safetensors",
                "--config",
                "reference_small.json",
            ],
        ),
        (
            "reference_small.json",
            [
                "embed",
                "text:a",
                "--checkpoint",
                "reference_small.safetensors",
                "--config",
                "reference_small.json",
            ],
        ),
        ("reference_small_inputs.npz", ["embed", "--npz", "reference_small_inputs.npz"]),
        ("mcap/mcap.mcap", ["replay", "mcap", "--modalities", "imu"]),
        ("sqlite3/sqlite3.db3", ["replay", "sqlite3", "--modalities", "imu", "--json"]),
        ("mcap/metadata.yaml", ["replay", "mcap", "--modalities", "imu"]),
        (
            "mcap/mcap.mcap",
            ["pairs", "mcap", "--image", "/camera/image_raw", "--sense", "/audio", "--out", "new"],
        ),
    ],
)
@FUZZ
@given(data=st.data())
def test_damaged_files(cli, here, name, words, data):
    path = Path(here) / name
    good = path.read_bytes()
    path.write_bytes(data.draw(damage(good)))
    try:
        judge(cli, *words)
    finally:
        path.write_bytes(good)
        shutil.rmtree(Path(here) / "new", ignore_errors=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vector.json", ["similarity", "text:a", "--with", "embedding:vector.json"]),
        ("pairs.json", ["evaluate", "retrieval", "pairs.json", "--json"]),
        ("scenes.json", ["evaluate", "detection", "scenes.json", "--json"]),
        (
            "reference_small.json",
            [
                "embed",
                "text:a",
                "--checkpoint",
                "reference_small.safetensors",
                "--config",
                "reference_small.json",
            ],
        ),
    ],
)
@FUZZ
@given(data=st.data())
def test_documents_of_other_shapes(cli, here, name, words, data):
    path = Path(here) / name
    good = path.read_text()
    path.write_text(json.dumps(exchanged(json.loads(good), data.draw)))
    try:
        judge(cli, *words)
    finally:
        path.write_text(good)


def test_the_good_files_are_good(cli, here):
    """Otherwise the tests above would show only that everything is refused."""
    assert judge(cli, "embed", "a.png", "a.wav", "imu.csv", "depth:depth.npz") == 0
    assert judge(cli, "retrieve", "text:dog", "--among", ".", "--json") == 0
    assert judge(cli, "classify", "text:dog", "--class-set", "classes.yaml") == 0
    assert judge(cli, "evaluate", "retrieval", "pairs.json", "--json") == 0
    assert judge(cli, "replay", "mcap", "--modalities", "imu") == 0
    assert judge(cli, "replay", "sqlite3", "--modalities", "imu", "--json") == 0
    assert math.isfinite(json.loads((here / "vector.json").read_text())["embeddings"][0]["vector"][0])
