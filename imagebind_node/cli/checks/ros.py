"""ROS 2: installed, with our interfaces, and messages that really arrive. Runs without ROS, then says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module

from imagebind_node.cli.checks import Finding, State

INSTALL_ROS = (
    "on a robot: source /opt/ros/<distribution>/setup.bash and install/setup.bash; "
    "else: make setup (ROS 2 from wheels)"
)
_INTERFACES = {
    "imagebind_msgs": "colcon build --base-paths . ros2_ws/src, then source install/setup.bash",
    "vision_msgs": "apt-get install ros-$ROS_DISTRO-vision-msgs, or build ros2_ws/underlay",
    "sensor_msgs": INSTALL_ROS,
    "diagnostic_msgs": INSTALL_ROS,
    "lifecycle_msgs": INSTALL_ROS,
}


def check_ros(graph_seconds: float) -> Iterator[Finding]:
    """ROS 2, interfaces with type support, a picture across processes, and the running graph."""
    try:
        import_module("rclpy")
    except ImportError as error:
        reason = "not installed or not sourced" if error.name == "rclpy" else f"cannot be loaded: {error}"
        yield Finding(
            "ros", State.MISSING, f"ROS 2 is {reason}: embed, detect and evaluate work without", INSTALL_ROS
        )
        return
    yield Finding("ros", State.OK, f"ROS 2 {os.environ.get('ROS_DISTRO', '(distribution not named)')}")
    usable = True
    for package, mend in _INTERFACES.items():
        finding = _interface(package, mend)
        usable = usable and finding.state is State.OK
        yield finding
    if usable:
        from imagebind_node.nodes import inspection

        yield from inspection.check_transport()
        yield from inspection.check_graph(graph_seconds)


def _interface(package: str, mend: str) -> Finding:
    try:
        module = import_module(f"{package}.msg")
    except ImportError as error:
        return Finding("interfaces", State.BROKEN, f"{package} is not installed ({error})", mend)
    message = next(value for name, value in vars(module).items() if name[0].isupper())
    try:
        message.__class__.__import_type_support__()
    except Exception as error:  # noqa: BLE001 - rosidl raises whatever the shared library raised; it is the finding
        return Finding("interfaces", State.BROKEN, f"{package} has no working type support: {error}", mend)
    if message.__class__._TYPE_SUPPORT is None:
        return Finding("interfaces", State.BROKEN, f"{package} has no type support for this Python", mend)
    return Finding("interfaces", State.OK, f"{package} with type support")
