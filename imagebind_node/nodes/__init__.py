"""ROS 2 nodes: the only part of the package that imports rclpy."""

from imagebind_node.nodes.environment import prepare

# Before any module in here imports rclpy.
prepare()
