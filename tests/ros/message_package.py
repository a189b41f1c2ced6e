"""Builds a package of messages from their fields, as colcon would, into a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_MANIFEST = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name><version>0.0.0</version><description>For tests.</description>
  <maintainer email="nobody@example.invalid">nobody</maintainer><license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <depend>std_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
_BUILD = """cmake_minimum_required(VERSION 3.16)
project({name})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
rosidl_generate_interfaces(${{PROJECT_NAME}} {files} DEPENDENCIES std_msgs)
ament_package()
"""
# Only what Python needs over Fast DDS, where it lies: without C++, introspection and an installation half the time.
_TARGETS = (
    "{name}__rosidl_typesupport_fastrtps_c",
    "{name}_s__rosidl_typesupport_fastrtps_c",
    "{name}_s__rosidl_typesupport_c",
)


def build(name: str, messages: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Build package `name` with `messages` (type to fields) below `folder`.

    Returns the environment in which a process sees it. Raises RuntimeError with what the compiler said.
    """
    source, work = folder / "source", folder / "build"
    (source / "msg").mkdir(parents=True)
    for kind, fields in messages.items():
        (source / "msg" / f"{kind}.msg").write_text(fields)
    (source / "package.xml").write_text(_MANIFEST.format(name=name))
    files = " ".join(f"msg/{kind}.msg" for kind in messages)
    (source / "CMakeLists.txt").write_text(_BUILD.format(name=name, files=files))
    venv = Path(sys.prefix)
    environment = {
        **os.environ,
        "AMENT_PREFIX_PATH": str(venv),
        "CMAKE_PREFIX_PATH": str(venv),
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
    }
    options = [
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DPython3_FIND_VIRTUALENV=ONLY",
        "-DBUILD_TESTING=OFF",
    ]
    targets = [target.format(name=name) for target in _TARGETS]
    for command in (
        ["cmake", "-S", str(source), "-B", str(work), "-Wno-dev", *options],
        ["cmake", "--build", str(work), "--parallel", "2", "--target", *targets],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr)[-4000:])
    return {
        "LD_LIBRARY_PATH": f"{work}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        "PYTHONPATH": f"{work / 'rosidl_generator_py'}:{os.environ.get('PYTHONPATH', '')}",
    }


def can_build() -> bool:
    """True if a compiler is there."""
    return shutil.which("g++") is not None
