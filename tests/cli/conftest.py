"""Runs the real entry point: in this process for speed, in its own where that is the point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from imagebind_node.cli.main import main
from imagebind_node.demo.scenes import demo_dir

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capfd):
    """Call `cli("embed", "a.jpg")`; returns status, stdout and stderr."""

    def call(*args: object) -> Outcome:
        capfd.readouterr()
        try:
            status = main([str(arg) for arg in args])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def refused(cli):
    """Call and require exit status 2, nothing on stdout and one line on stderr; returns that line."""

    def call(*args: object) -> str:
        outcome = cli(*args)
        assert outcome.status == 2, outcome
        assert outcome.out == ""
        lines = outcome.err.strip().splitlines()
        assert len(lines) == 1, outcome.err
        assert "error: " in lines[0]
        return lines[0]

    return call


@pytest.fixture
def run_process():
    """Call the entry point in a process of its own; keywords are environment variables."""

    def call(*args: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "imagebind_node.cli.main", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **variables},
            cwd=REPOSITORY,
        )

    return call


@pytest.fixture
def dog_photo(tmp_path) -> Path:
    """The dog of the demo's meadow, cut out of the scene."""
    path = tmp_path / "dog.jpg"
    with Image.open(demo_dir() / "meadow.jpg") as meadow:
        meadow.crop((360, 408, 734, 711)).save(path, quality=95)
    return path


@pytest.fixture
def sheep_photo(tmp_path) -> Path:
    path = tmp_path / "sheep.jpg"
    with Image.open(demo_dir() / "meadow.jpg") as meadow:
        meadow.crop((49, 203, 308, 507)).save(path, quality=95)
    return path


@pytest.fixture
def bark() -> Path:
    return demo_dir() / "dog.flac"


@pytest.fixture
def bleat() -> Path:
    return demo_dir() / "sheep.flac"


@pytest.fixture
def silence(tmp_path) -> Path:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(32000, np.float32), 16000)
    return path
