"""Imu messages read from their bytes give what rclpy's own message gives."""

import math
import random
import struct

import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import serialized_imu
from imagebind_node.nodes.conversions import imu_row, to_nanoseconds
from imagebind_node.nodes.serialized_imu import read_imu


def made(frame_id="imu", seed=0):
    """A message in which every number is another one."""
    draw = random.Random(seed).random
    message = Imu(header=Header(stamp=Time(sec=1_700_000_000 + seed, nanosec=999_999_999), frame_id=frame_id))
    for vector in (message.orientation, message.angular_velocity, message.linear_acceleration):
        for name in vector.get_fields_and_field_types():
            setattr(vector, name, draw())
    for covariance in ("orientation", "angular_velocity", "linear_acceleration"):
        setattr(message, f"{covariance}_covariance", [draw() for _ in range(9)])
    return message


def expected(message):
    return to_nanoseconds(message.header.stamp), message.header.frame_id, imu_row(message)


@pytest.fixture
def without_rclpy(monkeypatch):
    def refuse(data, kind):
        raise AssertionError("read by rclpy")

    monkeypatch.setattr(serialized_imu, "deserialize_message", refuse)


@pytest.mark.parametrize("length", range(10))
def test_frame_names_of_every_length_move_the_numbers(without_rclpy, length):
    message = made("x" * length, seed=length)
    assert read_imu(serialize_message(message)) == expected(message)


def test_names_beyond_ascii(without_rclpy):
    message = made("Trägheit")
    assert read_imu(serialize_message(message)) == expected(message)


def test_a_big_endian_sender(without_rclpy):
    head = struct.pack(">2sHiII4s", b"\0\0", 0, 7, 5, 4, b"imu\0")
    numbers = [float(i) for i in range(37)]
    # 16 bytes after the representation header: no padding before the numbers.
    data = head + struct.pack(">37d", *numbers)
    assert read_imu(data) == (7_000_000_005, "imu", (25.0, 26.0, 27.0, 13.0, 14.0, 15.0))


def test_another_representation_is_left_to_rclpy(monkeypatch):
    message = made()
    monkeypatch.setattr(serialized_imu, "_ORDERS", {})
    assert read_imu(serialize_message(message)) == expected(message)


@pytest.mark.parametrize("what", ["linear_acceleration", "angular_velocity"])
def test_refusals_name_the_half_that_is_not_measured(what):
    message = made()
    getattr(message, f"{what}_covariance")[0] = -1.0
    with pytest.raises(InvalidInputError, match=f"Imu.{what} is not measured"):
        read_imu(serialize_message(message))


def test_nan_is_refused():
    message = made()
    message.angular_velocity.y = math.nan
    with pytest.raises(InvalidInputError, match="NaN"):
        read_imu(serialize_message(message))


def test_cut_messages_raise():
    data = serialize_message(made())
    for size in (0, 3, 4, 15, 20, len(data) - 1):
        with pytest.raises(Exception, match=r".+"):
            read_imu(data[:size])
