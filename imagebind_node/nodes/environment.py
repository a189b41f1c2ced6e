"""The environment variables that ROS 2 needs, for processes in which nobody sourced a set-up file.

A distribution's `setup.bash` sets them; ROS from wheels in a virtual environment has none. The libraries are
found by a start-up hook of those wheels (it restarts the interpreter with LD_LIBRARY_PATH); the rest is done
here, before rclpy is imported.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path

from imagebind_node.errors import MissingDependencyError

_BOOTSTRAPPED = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


def prepare(environ: MutableMapping[str, str] = os.environ, prefix: str = sys.prefix) -> None:
    """Complete `environ`; does nothing that a sourced distribution or the user has done already.

    prefix: the virtual environment. Raises MissingDependencyError if the libraries of ROS cannot be found
    because this process was started by a Python of another such environment.
    """
    if _from_wheels(prefix):
        _prepend(environ, "AMENT_PREFIX_PATH", prefix)
        _check_library_path(environ, prefix)
    if not any(environ.get(name) for name in ("ROS_LOG_DIR", "ROS_HOME")) and not _home_is_writable(environ):
        # rclpy.init fails without a place for its log files, as in services and containers without a home.
        environ["ROS_LOG_DIR"] = str(Path(tempfile.gettempdir()) / f"ros_log_{os.getuid()}")


def require_ros() -> None:
    """Raise MissingDependencyError that says what to install, unless rclpy and the interfaces are here."""
    for module in ("rclpy", "imagebind_msgs", "vision_msgs"):
        if find_spec(module) is None:
            raise MissingDependencyError(
                f"ROS 2 is needed for this, and its Python package {module} was not found: run `make setup`, "
                "or source the distribution and this workspace, see docs/install.md"
            )


def _from_wheels(prefix: str) -> bool:
    return (Path(prefix) / "share/ament_index/resource_index/packages/rclpy").is_file()


def _prepend(environ: MutableMapping[str, str], name: str, value: str) -> None:
    paths = [path for path in environ.get(name, "").split(os.pathsep) if path]
    if value not in paths:
        environ[name] = os.pathsep.join([value, *paths])


def _check_library_path(environ: MutableMapping[str, str], prefix: str) -> None:
    wanted = str(Path(prefix) / "lib")
    if environ.get(_BOOTSTRAPPED) and wanted not in environ.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        raise MissingDependencyError(
            f"the libraries of ROS in {wanted} are not on LD_LIBRARY_PATH, since this process was started from "
            f"another Python environment with ROS: unset {_BOOTSTRAPPED} and LD_LIBRARY_PATH, then try again"
        )


def _home_is_writable(environ: MutableMapping[str, str]) -> bool:
    home = environ.get("HOME")
    if not home:
        return False
    logs = Path(home) / ".ros" / "log"
    existing = next(path for path in (logs, *logs.parents) if path.exists())
    return os.access(existing, os.W_OK)
