"""Runs the tutorial's node over DDS on what the detector really finds in the picture of the yard."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection2DArray

from imagebind_node import load_encoder
from imagebind_node.detection.detections import Detections
from imagebind_node.detection.registry import load_detector
from imagebind_node.files import read_sample
from imagebind_node.nodes.detection_output import detection_array

PATIENCE = 60.0


def turn_to(node_class: type, sounds: list[str | None]) -> list[float]:
    """Turn rates (rad/s) that the node commands for each sound; None: nothing was found."""
    picture = read_sample("yard.jpg")
    height, width = picture.data.shape[:2]
    info = CameraInfo(width=width, height=height)
    info.p[0] = info.p[5] = float(width)
    info.p[2], info.p[6], info.p[10] = width / 2, height / 2, 1.0
    answers = [found_by(sound, picture) for sound in sounds]

    rclpy.init(args=[])
    robot, world = node_class(), rclpy.create_node("world")
    executor = SingleThreadedExecutor()
    executor.add_node(robot)
    executor.add_node(world)
    try:
        turns: list[float] = []
        world.create_subscription(Twist, "cmd_vel", lambda message: turns.append(message.angular.z), 10)
        camera = world.create_publisher(CameraInfo, "camera/camera_info", qos_profile_sensor_data)
        detector = world.create_publisher(Detection2DArray, "detections", 5)
        spin_until(executor, lambda: camera.get_subscription_count() and detector.get_subscription_count())
        spin_until(executor, lambda: robot.info is not None, lambda: camera.publish(info))
        for answer in answers:
            expected = len(turns) + 1
            detector.publish(answer)
            spin_until(executor, partial(reached, turns, expected))
        return turns
    finally:
        executor.shutdown()
        robot.destroy_node()
        world.destroy_node()
        rclpy.shutdown()


def found_by(sound: str | None, picture: Any) -> Detection2DArray:
    """What the detector finds for a sound file, as the detector node would publish it."""
    found = Detections.empty()
    if sound is not None:
        encoder = load_encoder("concept", modalities=["audio", "vision"])
        detector = load_detector("concept", encoder)
        classes = detector.new_classes()
        classes.replace(["cue"], encoder.encode("audio", [sound]))
        found = detector.detect(picture, classes, min_score=0.95)
        assert len(found.boxes), sound
    return detection_array(picture, found, np.zeros(len(found.boxes), np.int64))


def reached(messages: list[float], count: int) -> bool:
    return len(messages) >= count


def spin_until(executor: Any, condition: Callable[[], object], act: Callable[[], None] | None = None) -> None:
    """Spin until `condition()`; `act()` is called each time around."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        if act is not None:
            act()
        executor.spin_once(timeout_sec=0.05)
