"""A node's process finds ROS without anybody sourcing anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagebind_node.errors import MissingDependencyError
from imagebind_node.nodes.environment import prepare

WHEELS = (Path(sys.prefix) / "share/ament_index/resource_index/packages/rclpy").is_file()

PROGRAM = """
import imagebind_node.nodes
import rclpy
from ament_index_python.packages import get_package_share_directory
from imagebind_msgs.msg import Embedding
from imagebind_msgs.srv import SetQuery
from vision_msgs.msg import Detection2DArray
rclpy.init()
node = rclpy.create_node("bare")
received = []
node.create_subscription(Embedding, "embedding", received.append, 1)
node.create_service(SetQuery, "set_query", lambda request, response: response)
detections = node.create_publisher(Detection2DArray, "detections", 1)
publisher = node.create_publisher(Embedding, "embedding", 1)
for _ in range(100):
    publisher.publish(Embedding(space="concept", vector=[1.0] * 384))
    rclpy.spin_once(node, timeout_sec=0.1)
    if received:
        break
print(len(received[0].vector), get_package_share_directory("imagebind_msgs"))
node.destroy_node()
rclpy.shutdown()
"""


@pytest.mark.skipif(not WHEELS, reason="this Python has ROS from a distribution, which has to be sourced")
def test_bare_environment_publishes_and_receives():
    isolation = {name: os.environ[name] for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=isolation, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["384", str(Path(sys.prefix) / "share/imagebind_msgs")]


def test_prefix_is_added_once_and_before_others(tmp_path):
    marker = tmp_path / "share/ament_index/resource_index/packages/rclpy"
    marker.parent.mkdir(parents=True)
    marker.touch()
    environ = {"AMENT_PREFIX_PATH": "/opt/other", "HOME": str(tmp_path)}
    prepare(environ, str(tmp_path))
    prepare(environ, str(tmp_path))
    assert environ["AMENT_PREFIX_PATH"] == f"{tmp_path}:/opt/other"


def test_sourced_distribution_is_left_alone(tmp_path):
    environ = {"AMENT_PREFIX_PATH": "/opt/ros/jazzy", "HOME": str(tmp_path)}
    prepare(environ, str(tmp_path))
    assert environ == {"AMENT_PREFIX_PATH": "/opt/ros/jazzy", "HOME": str(tmp_path)}


@pytest.mark.parametrize("home", [None, ""])
def test_logs_go_elsewhere_without_a_home(home, tmp_path):
    environ = {} if home is None else {"HOME": home}
    prepare(environ, str(tmp_path))
    assert Path(environ["ROS_LOG_DIR"]).is_absolute()


def test_users_log_folder_is_kept(tmp_path):
    environ = {"ROS_LOG_DIR": "/var/log/robot"}
    prepare(environ, str(tmp_path))
    assert environ == {"ROS_LOG_DIR": "/var/log/robot"}


def test_child_of_another_environment_is_told_so(tmp_path):
    marker = tmp_path / "share/ament_index/resource_index/packages/rclpy"
    marker.parent.mkdir(parents=True)
    marker.touch()
    inherited = {
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
        "LD_LIBRARY_PATH": "/other/.venv/lib",
        "HOME": str(tmp_path),
    }
    with pytest.raises(MissingDependencyError, match="unset _ROS_WHEELS_BOOTSTRAP_COMPLETE"):
        prepare(inherited | {"HOME": str(tmp_path)}, str(tmp_path))
