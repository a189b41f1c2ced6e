"""The IMU topic: every measurement goes into the IMU stream."""

from __future__ import annotations

from collections.abc import Callable

from sensor_msgs.msg import Imu

from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import imu_row, to_nanoseconds
from imagebind_node.nodes.serialized_imu import read_imu
from imagebind_node.samples import ImuSample
from imagebind_node.streaming.imu_stream import ImuStream
from imagebind_node.streaming.newest import STAMPS_STAND
from imagebind_node.streaming.statistics import RateMeter

TOPIC = "imu/data"


class ImuInput:
    """Subscribes to `imu/data` (REP-145), or listens to a driver in this process.

    Orientation is ignored. The stamp of a window is that of its last measurement.
    """

    topic = TOPIC

    def __init__(self, node: ManagedNode, stream: ImuStream, notify: Callable[[], None]) -> None:
        """notify: called whenever a window is due in `stream`."""
        self._node = node
        self.stream = stream
        self.arrivals = RateMeter()
        self.stale = 0
        self.received = 0
        self._frame_id = ""
        self._notify = notify
        self._stop_listening: Callable[[], None] | None = None

    @staticmethod
    def expect(node: ManagedNode) -> None:
        """Let what comes from now on wait for `open`."""
        node.expect(Imu, TOPIC, qos.MOTION, raw=True)

    def open(self) -> None:
        """Subscribe."""
        name = self._node.resolve_topic_name(TOPIC)
        if self._node.exchange.has_producer(name):
            self._stop_listening = self._node.exchange.listen(name, self._on_item)
            return
        self._node.subscription(Imu, TOPIC, self._on_message, qos.MOTION, raw=True)

    def close(self) -> None:
        """Unsubscribe; the node destroys the subscription."""
        if self._stop_listening is not None:
            self._stop_listening()
        self._stop_listening = None

    @property
    def dropped(self) -> int:
        """Measurements that were not used: repeated or out of order."""
        return self.stream.order.dropped

    def dropping(self) -> str:
        """Why what came last was left out; empty if it was not."""
        return STAMPS_STAND if self.stream.order.dropping else ""

    def take(self) -> ImuSample | None:
        """The newest window if one is due."""
        return self.stream.next_window(self._frame_id)

    def figures(self) -> dict[str, object]:
        """More for diagnostics."""
        return {
            "repeated": self.stream.order.repeated,
            "out of order": self.stream.order.reordered,
            "gaps": self.stream.gaps,
            "lost (s)": self.stream.lost_seconds,
            "clock jumps": self.stream.order.jumps,
            "skipped hops": self.stream.skipped_hops,
        }

    def _on_message(self, data: bytes) -> None:
        """A serialized message."""
        self._count()
        stamp, self._frame_id, row = read_imu(data)
        if self.stream.push(stamp, row):
            self._notify()

    def _on_item(self, item: Imu | ImuSample) -> None:
        """A message, or a stretch of measurements, from a node of this process."""
        self._count()
        if isinstance(item, ImuSample):
            self._frame_id = item.frame_id
            stamps = item.stamp + ((item.times - item.times[-1]) * 1e9).round().astype("int64")
            due = [self.stream.push(int(stamp), row) for stamp, row in zip(stamps, item.data.tolist())]
            ready = any(due)
        else:
            self._frame_id = item.header.frame_id
            ready = self.stream.push(to_nanoseconds(item.header.stamp), imu_row(item))
        if ready:
            self._notify()

    def _count(self) -> None:
        self.arrivals.tick()
        self.received += 1
