"""The program as a shell sees it: exit status, streams, signals, damaged models, a machine without ROS."""

from __future__ import annotations

import json
import os
import shutil
import signal
import site
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagebind_node.demo.scenes import demo_dir
from imagebind_node.encoders.concept.weights import model_dir

REPOSITORY = Path(__file__).resolve().parents[2]
ROS_PREFIXES = ("rcl", "ros", "rmw", "rpyutils", "ament", "imagebind_msgs", "launch", "tracetools")


def test_help_needs_no_heavy_import():
    code = "import sys; from imagebind_node.cli.main import main\n"
    code += "try: main(['embed', '--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'rclpy', 'cv2', 'scipy'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=60, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command", ["", "demo", "up", "embed", "similarity", "classify", "retrieve", "detect"]
)
def test_help(cli, command):
    outcome = cli(*([command] if command else []), "--help")
    assert outcome.status == 0
    assert "usage: imagebind-node" in outcome.out


def test_every_command_has_help(cli):
    from imagebind_node.cli.main import COMMANDS

    for command in COMMANDS:
        assert cli(command, "--help").status == 0


def test_version(cli):
    from imagebind_node import __version__

    assert cli("--version").out.strip() == f"imagebind-node {__version__}"


def test_json_is_alone_on_stdout_even_with_logs(run_process):
    result = run_process("embed", demo_dir() / "dog.flac", "--json", "-vv")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["embeddings"][0]["modality"] == "audio"


def test_error_is_one_line_without_traceback(run_process):
    result = run_process("embed", "nowhere.wav")
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_a_reader_that_goes_away_is_no_error():
    program = f"{sys.executable} -m imagebind_node.cli.main --help | head -c 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", program], capture_output=True, text=True, timeout=60, cwd=REPOSITORY
    )
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_interrupt_ends_with_130_and_one_line(tmp_path):
    command = [
        sys.executable,
        "-m",
        "imagebind_node.cli.main",
        "bench",
        "--stages",
        "text",
        "--runs",
        "1000000",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        # A shell starts background jobs with SIGINT ignored, which would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines() == ["imagebind-node: interrupted"]


@pytest.fixture
def models(tmp_path) -> Path:
    """A models folder that may be damaged: links to the real files of concept."""
    folder = tmp_path / "models" / "concept"
    folder.mkdir(parents=True)
    for path in model_dir("concept").iterdir():
        if path.is_file():
            (folder / path.name).symlink_to(path)
    return folder


def test_missing_weights_are_named(models, run_process):
    (models / "audio.safetensors").unlink()
    result = run_process("embed", demo_dir() / "dog.flac", IMAGEBIND_NODE_MODELS=str(models.parent))
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "audio.safetensors is missing" in result.stderr


def test_damaged_weights_are_named_with_their_sha256(models, run_process):
    path = models / "audio.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)
    result = run_process("embed", demo_dir() / "dog.flac", IMAGEBIND_NODE_MODELS=str(models.parent))
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "audio.safetensors is damaged" in result.stderr
    assert result.stderr.count("sha256") >= 1


def test_towers_that_are_not_asked_for_are_not_read(models, run_process):
    (models / "text.safetensors").unlink()
    result = run_process("embed", demo_dir() / "dog.flac", IMAGEBIND_NODE_MODELS=str(models.parent))
    assert result.returncode == 0, result.stderr


def test_no_models_at_all(tmp_path, run_process):
    result = run_process("embed", "text:dog", IMAGEBIND_NODE_MODELS=str(tmp_path))
    assert result.returncode == 2
    assert "IMAGEBIND_NODE_MODELS" in result.stderr


@pytest.fixture(scope="module")
def without_ros(tmp_path_factory):
    """Run the entry point with a package path that holds everything but ROS."""
    packages = tmp_path_factory.mktemp("packages")
    for path in Path(site.getsitepackages()[0]).iterdir():
        is_ros = path.name.startswith(ROS_PREFIXES) or "_msgs" in path.name or "_interfaces" in path.name
        if is_ros or path.suffix == ".pth":
            continue
        if path.name == "cv2":  # its loader follows links to where ROS is and loses its way
            shutil.copytree(path, packages / path.name)
        else:
            (packages / path.name).symlink_to(path)
    code = (
        f"import sys; sys.path[:0] = [{str(packages)!r}, {str(REPOSITORY)!r}]; "
        "from imagebind_node.cli.main import main; sys.exit(main())"
    )

    def call(*args: object) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROS", "AMENT", "PYTHON"))}
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            cwd=packages,
        )

    yield call
    shutil.rmtree(packages)


def test_without_ros_embed_and_detect_work(without_ros):
    result = without_ros("embed", demo_dir() / "dog.flac", demo_dir() / "meadow.jpg", "text:dog")
    assert result.returncode == 0, result.stderr
    result = without_ros(
        "detect", "--image", demo_dir() / "meadow.jpg", "--query", demo_dir() / "dog.flac", "--json"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["detections"]


@pytest.mark.parametrize("command", ["up", "demo"])
def test_without_ros_the_graph_says_what_to_install(without_ros, command):
    result = without_ros(command)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "ROS 2" in result.stderr
    assert "make setup" in result.stderr


def test_without_ros_the_doctor_reports_it_as_optional(without_ros):
    result = without_ros("doctor", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["works"]
    ros = [finding for finding in document["findings"] if finding["area"] == "ros"]
    assert [finding["state"] for finding in ros] == ["missing"]
    assert "/opt/ros" in ros[0]["mend"]
