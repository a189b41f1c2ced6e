"""Imu messages as they come from DDS, read without making a message of them.

rclpy takes four times as long to make an Imu, with its three covariances, as to hand over its bytes.
"""

from __future__ import annotations

import struct

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Imu

from imagebind_node.nodes.conversions import ImuRow, checked_imu_row, imu_row, to_nanoseconds

# Common Data Representation (OMG DDSI-RTPS 2.5, chapter 10): 4 bytes say how the rest is written, here plain CDR of
# either byte order; in the rest every number lies at a multiple of its size.
_HEADER = 4
_ORDERS = {b"\0\0": ">", b"\0\1": "<"}
_STAMP = {
    order: struct.Struct(f"{order}iII") for order in "<>"
}  # s, ns, length of frame_id with its closing 0
# Orientation 4, covariance 9, turn rate 3, covariance 9, acceleration 3, covariance 9.
_NUMBERS = {order: struct.Struct(f"{order}37d") for order in "<>"}


def read_imu(data: bytes) -> tuple[int, str, ImuRow]:
    """Serialized sensor_msgs/Imu -> (stamp in ns, frame_id, what `imu_row` gives). Raises as that does."""
    order = _ORDERS.get(bytes(data[:2]))
    if order is not None and len(data) >= _HEADER + _STAMP[order].size:
        seconds, nanoseconds, length = _STAMP[order].unpack_from(data, _HEADER)
        text = _HEADER + _STAMP[order].size
        numbers = _HEADER + (text + length - _HEADER + 7) // 8 * 8
        if len(data) >= numbers + _NUMBERS[order].size:
            values = _NUMBERS[order].unpack_from(data, numbers)
            frame_id = bytes(data[text : text + max(0, length - 1)]).decode("utf-8", "replace")
            row = checked_imu_row((*values[25:28], *values[13:16]), values[28], values[16])
            return seconds * 1_000_000_000 + nanoseconds, frame_id, row
    # Of a middleware that writes in another way: rclpy knows it, or says what is wrong.
    message = deserialize_message(data, Imu)
    return to_nanoseconds(message.header.stamp), message.header.frame_id, imu_row(message)
