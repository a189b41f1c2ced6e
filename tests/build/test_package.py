"""The package description agrees with the sources: names, versions, entry points, dependencies, installed files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import pytest

import imagebind_node

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()
# Part of rclpy, or given by what is already declared.
ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "imagebind_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "vision_msgs",
}


@pytest.fixture(scope="module")
def description():
    """What setup.py gives to setuptools, from a run of setup.py itself."""
    code = (
        "import json, distutils.core as core, setuptools; d = core.run_setup('setup.py', stop_after='init');"
        "print(json.dumps({'version': d.get_version(), 'extras': d.extras_require, 'base': d.install_requires,"
        "'scripts': d.entry_points['console_scripts'], 'packages': d.packages, 'data': d.data_files}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    import json

    return json.loads(done.stdout.splitlines()[-1])


def imported(folder: Path) -> set[str]:
    """Top-level names that the Python files below `folder` import."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


def test_versions_agree(description):
    assert MANIFEST.findtext("version") == description["version"] == imagebind_node.__version__


def test_ros_imports_are_declared():
    declared = {element.text for element in MANIFEST if element.tag.endswith("depend")}
    used = (imported(ROOT / "imagebind_node") | imported(ROOT / "launch")) & ROS_PACKAGES
    assert "rclpy" in used
    assert used <= declared


def test_executables_exist(description):
    scripts = dict(entry.split(" = ") for entry in description["scripts"])
    assert {"imagebind-node", "encoder", "detector", "camera", "microphone", "replay", "up"} <= set(scripts)
    for target in scripts.values():
        module, function = target.split(":")
        source = ROOT / (module.replace(".", "/") + ".py")
        defined = {n.name for n in ast.parse(source.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert function in defined, f"{target}: no such function"


def test_every_package_folder_is_installed(description):
    folders = {path.parent for path in (ROOT / "imagebind_node").rglob("*.py")}
    assert {str(f.relative_to(ROOT)).replace("/", ".") for f in folders} == set(description["packages"])


def test_share_holds_launch_config_models_and_demo(description):
    installed = {source for _, sources in description["data"] for source in sources}
    for folder in ("launch", "config", "models", "demo"):
        tracked = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True)
        files = set(tracked.stdout.split())
        if tracked.returncode or not files:
            files = {str(p.relative_to(ROOT)) for p in (ROOT / folder).glob("*.yaml")}
        assert files <= installed, f"not installed: {sorted(files - installed)}"


def test_every_requirement_is_pinned(description):
    pins = (ROOT / "constraints.txt").read_text()
    pinned = {re.match(r"[a-z0-9-]+", line)[0] for line in pins.splitlines() if line[0].isalnum()}
    requirements = [*description["base"], *(r for extra in description["extras"].values() for r in extra)]
    names = {re.match(r"[A-Za-z0-9_.-]+", r)[0].lower().replace("_", "-") for r in requirements}
    assert names <= pinned, f"run scripts/update_constraints.py: {sorted(names - pinned)}"


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_pins_are_exact_and_unique_for(python):
    seen: set[str] = set()
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        requirement, _, marker = line.partition(" ; ")
        if marker and f'"{python}"' not in marker:
            continue
        name, separator, version = requirement.partition("==")
        assert separator and version and name not in seen, line
        seen.add(name)


def test_importing_the_package_needs_neither_torch_nor_ros():
    code = "import sys, imagebind_node, imagebind_node.samples; print({'torch', 'rclpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_core_imports_no_ros():
    for path in (ROOT / "imagebind_node").rglob("*.py"):
        inside = path.relative_to(ROOT / "imagebind_node").parts
        if inside[0] in ("nodes", "cli", "demo"):
            continue
        top = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in (
                [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
        }
        assert not {name.split(".")[0] for name in top} & ROS_PACKAGES, path


def test_environment_has_what_setup_promises():
    assert find_spec("rclpy") and find_spec("imagebind_msgs") and find_spec("vision_msgs") and find_spec("tf2_msgs")
