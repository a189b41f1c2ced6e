"""The set-up scripts say clearly what is wrong, and do not install where they may not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"


def run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_script_parses_and_is_executable(script):
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", str(script)).returncode == 0


def test_chosen_interpreter_is_taken():
    done = run(str(SCRIPTS / "find_python.sh"), env=os.environ | {"PYTHON": sys.executable})
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable)


@pytest.mark.parametrize("python", ["/bin/false", "/no/such/python"])
def test_unusable_interpreter_is_refused_in_one_line(python):
    done = run(str(SCRIPTS / "find_python.sh"), env=os.environ | {"PYTHON": python})
    assert done.returncode == 1
    assert done.stderr == f"error: PYTHON={python} is not Python 3.10 to 3.12 with the venv module\n"


def test_no_interpreter_at_all_names_the_mend(tmp_path):
    (tmp_path / "bash").symlink_to(shutil.which("bash"))
    environ = {"PATH": str(tmp_path)}
    done = run("/bin/bash", str(SCRIPTS / "find_python.sh"), env=environ)
    assert done.returncode == 1
    assert "apt install python3 python3-venv" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_is_installed_where_everything_is_there():
    done = run(str(SCRIPTS / "system_packages.sh"), sys.executable)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_without_root_the_command_to_type_is_shown(tmp_path):
    # A PATH on which there is no compiler, for a user who may not install one.
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    for tool in ("bash", "grep", "id", "apt-get", "make", "git", "pulseaudio", "pactl"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    command = ["setpriv", "--reuid=65534", "--clear-groups", "/bin/bash", "-s", "/usr/bin/true"]
    script = (SCRIPTS / "system_packages.sh").read_text()
    done = run(shutil.which("setpriv"), *command[1:], input=script, env={"PATH": str(tmp_path)})
    assert done.returncode == 0
    assert "type: sudo apt-get install g++" in done.stderr


def test_make_names_its_commands():
    done = run("make", "-C", str(ROOT), "help")
    assert done.returncode == 0
    for command in ("setup", "demo", "test", "lint", "bench", "clean"):
        assert f"make {command} " in done.stdout
