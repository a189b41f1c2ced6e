"""Poses of frames from /tf and /tf_static: by tf2_ros where it is installed, else by a listener of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import to_nanoseconds
from imagebind_node.transforms import Transform, TransformBuffer, TransformError

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode


class Tf2Transforms:
    """Listens with tf2_ros, as every other node of a robot does."""

    name = "tf2_ros"

    def __init__(self, node: ManagedNode) -> None:
        import tf2_ros

        self._error = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener: Any = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp: int, tolerance: float) -> Transform:
        """As TransformBuffer.lookup; where the history ends before `stamp`, the newest transform may do."""
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
        except self._error as error:
            try:
                found = self._buffer.lookup_transform(target, source, Time())
            except self._error:
                raise TransformError(" ".join(str(error).split())) from error
            if abs(to_nanoseconds(found.header.stamp) - stamp) > tolerance * 1e9:
                raise TransformError(" ".join(str(error).split())) from error
        return transform_of(found)

    def close(self) -> None:
        """Unsubscribe."""
        self._listener.unregister()


class OwnTransforms:
    """Listens with two subscriptions of the node, which end when it is deactivated."""

    name = "own listener"

    def __init__(self, node: ManagedNode) -> None:
        from tf2_msgs.msg import TFMessage

        self._buffer = TransformBuffer()
        node.subscription(TFMessage, "/tf", lambda message: self._keep(message, False), qos.TF)
        node.subscription(TFMessage, "/tf_static", lambda message: self._keep(message, True), qos.TF_STATIC)

    def _keep(self, message: Any, fixed: bool) -> None:
        problem = None
        for entry in message.transforms:
            stamp = to_nanoseconds(entry.header.stamp)
            try:
                self._buffer.put(
                    entry.header.frame_id, entry.child_frame_id, stamp, transform_of(entry), fixed=fixed
                )
            except InvalidInputError as error:
                problem = problem or InvalidInputError(f"{entry.child_frame_id!r}: {error}")
        if problem is not None:
            raise problem

    def lookup(self, target: str, source: str, stamp: int, tolerance: float) -> Transform:
        """See TransformBuffer.lookup."""
        return self._buffer.lookup(target, source, stamp, tolerance)

    def close(self) -> None:
        """The node destroys its own subscriptions."""


def transform_of(message: Any) -> Transform:
    """TransformStamped message -> transform. Raises InvalidInputError."""
    place, turn = message.transform.translation, message.transform.rotation
    return Transform((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))


def open_transforms(node: ManagedNode) -> Tf2Transforms | OwnTransforms | None:
    """A listener for `node`, None where neither tf2_ros nor tf2_msgs is installed."""
    for kind in (Tf2Transforms, OwnTransforms):
        try:
            return kind(node)
        except ImportError:
            continue
    return None
