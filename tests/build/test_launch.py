"""Launch and parameter files agree with the nodes.

`launch` is not among the ROS wheels, so what runs everywhere reads the files; where a distribution (or a source
build) brings `launch`, the launch files are run for real as well.
"""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed: make setup")

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = {path.name: path for path in (ROOT / "launch").glob("*.launch.py")}
CONFIG = {path.name: path for path in (ROOT / "config").glob("*.yaml")}
NODES = ("encoder", "detector", "fusion", "camera", "realsense", "thermal", "microphone", "imu", "replay")
NODES += ("memory", "recognizer", "generator", "view")
COMMON = {
    "model",
    "device",
    "precision",
    "namespace",
    "params_file",
    "use_sim_time",
    "log_level",
    "autostart",
    "respawn",
    "respawn_delay",
    "enclave",
}
ARGUMENTS = {
    "bringup.launch.py": COMMON
    | {
        "modalities",
        "composed",
        "fusion",
        "memory",
        "recognizer",
        "generator",
        "view",
        "image",
        "depth",
        "thermal",
        "audio",
        "imu",
    }
    | {"camera", "realsense", "thermal_camera", "microphone", "serial_imu"},
    "detector.launch.py": COMMON | {"image", "cue"},
}
HAS_LAUNCH = bool(
    find_spec("launch") and getattr(find_spec("launch"), "origin", None) and find_spec("launch_ros")
)
needs_launch = pytest.mark.skipif(
    not HAS_LAUNCH, reason="the package `launch` is not among the ROS wheels: run this on a ROS distribution"
)


def calls(path: Path, function: str) -> list[ast.Call]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [n for n in nodes if isinstance(n, ast.Call) and getattr(n.func, "id", None) == function]


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def settings_of(node: str) -> dict[str, object]:
    module = import_module(f"imagebind_node.nodes.{node}")
    return {setting.name: setting for setting in module.SETTINGS}


def blocks(path: Path) -> dict[str, dict[str, object]]:
    document = yaml.safe_load(path.read_text())
    return {name.removeprefix("/**/"): body["ros__parameters"] for name, body in document.items()}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_declared_argument_has_a_description(name):
    for call in calls(LAUNCH[name], "DeclareLaunchArgument"):
        assert keyword(call, "description") is not None
        assert keyword(call, "default_value") is not None


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_used_argument_is_declared(name):
    used = {
        call.args[0].value
        for call in calls(LAUNCH[name], "LaunchConfiguration")
        if hasattr(call.args[0], "value")
    }
    assert used
    assert used <= ARGUMENTS[name]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_started_executables_are_ours(name):
    scripts = (ROOT / "setup.py").read_text()
    for call in calls(LAUNCH[name], "Node"):
        assert keyword(call, "package").value == "imagebind_node"
        executable = keyword(call, "executable")
        if isinstance(executable, ast.Constant):
            assert f'"{executable.value}"' in scripts


@pytest.mark.parametrize("name", sorted(CONFIG))
def test_parameters_exist_and_are_in_range(name):
    for node, parameters in blocks(CONFIG[name]).items():
        settings = settings_of(node)
        for key, value in parameters.items():
            if key == "autostart":
                continue
            assert key in settings, f"{name}: {node} has no parameter {key}"
            settings[key].check(value)
            assert type(value) is type(settings[key].default), (
                f"{name}: {node}.{key} is a {type(value).__name__}"
            )


@pytest.mark.parametrize("node", NODES)
def test_default_file_shows_every_parameter_with_its_default(node):
    shown = blocks(CONFIG["default.yaml"])[node]
    assert shown == {name: s.default for name, s in settings_of(node).items()} | {"autostart": True}


@needs_launch
@pytest.mark.parametrize("name", ARGUMENTS)
def test_launch_describes_its_arguments(name):
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(LAUNCH[name]))
    assert {argument.name for argument in description.get_launch_arguments()} == ARGUMENTS[name]


@pytest.fixture
def bringup():
    """Call with launch arguments: bringup.launch.py as a process, ended afterwards.

    Needs the package built by colcon and sourced, since launch looks for executables in lib/imagebind_node.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix("imagebind_node")
    except PackageNotFoundError:
        pytest.skip("imagebind_node is not on AMENT_PREFIX_PATH: colcon build, then source install/setup.bash")
    program = (
        "import sys; from launch import LaunchService; from launch.actions import IncludeLaunchDescription as I;"
        "from launch import LaunchDescription as D;"
        "from launch.launch_description_sources import PythonLaunchDescriptionSource as S;"
        "s = LaunchService(); a = [w.split(':=') for w in sys.argv[2:]];"
        "s.include_launch_description(D([I(S(sys.argv[1]), launch_arguments=a)])); sys.exit(s.run())"
    )
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        # On a loaded machine the default of 5 s before SIGTERM is short.
        words = [*arguments, "camera:=false", "microphone:=false", "sigterm_timeout:=60", "sigkill_timeout:=60"]
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", program, str(LAUNCH["bringup.launch.py"]), *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def read_until(process: subprocess.Popen[str], *marks: str) -> str:
    """Output up to the line that completes `marks`."""
    output = ""
    for line in process.stdout:
        output += line
        if all(mark in output for mark in marks):
            return output
    pytest.fail(f"ended before {marks}: {output}")


def end(process: subprocess.Popen[str]) -> str:
    # To all of them, as a terminal does: launch relies on it and sends no SIGINT of its own.
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return rest


@needs_launch
@pytest.mark.parametrize("composed", ["false", "true"])
def test_bringup_starts_configures_and_ends(bringup, composed, namespace):
    process = bringup(f"namespace:={namespace}", f"composed:={composed}", "modalities:=audio")
    output = read_until(process, "with audio\n", "detector concept in space") + end(process)
    assert f"[{namespace.strip('/')}.encoder]: model concept/fp32 with audio\n" in output
    assert "process has died" not in output


@needs_launch
@pytest.mark.parametrize("respawn", ["true", "false"])
def test_a_killed_node_is_started_again(bringup, namespace, respawn):
    process = bringup(
        f"namespace:={namespace}", "modalities:=audio", f"respawn:={respawn}", "respawn_delay:=0.5"
    )
    read_until(process, "with audio\n", "detector concept in space")
    children = psutil.Process(process.pid).children()
    (encoder,) = [child for child in children if any(w.endswith("/encoder") for w in child.cmdline()[:2])]
    encoder.kill()
    if respawn == "true":
        assert "exit code -9" in read_until(process, "process has died", "with audio\n")
        assert "detector concept in space" not in end(process)
    else:
        read_until(process, "process has died")
        # launch 3.7.1 hangs now and then if it is interrupted while it deals with a death.
        time.sleep(2)
        assert "with audio\n" not in end(process)
