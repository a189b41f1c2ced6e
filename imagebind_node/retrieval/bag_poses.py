"""Where the sensors of a recorded robot were: the transforms of a bag, read before its samples."""

from __future__ import annotations

import math

from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.moment import Pose
from imagebind_node.sensors.bag import TRANSFORMS, Recording
from imagebind_node.transforms import Transform, TransformBuffer

# Poses between two are interpolated: twenty a second are enough, and an hour's bag stays small in memory.
_SPACING = 50_000_000
_TOLERANCE = 0.5


class BagPoses:
    """Poses in `fixed_frame` from all topics of type tf2_msgs/TFMessage; impossible transforms are left out.

    Raises MissingDependencyError without `rosbags`, InvalidInputError for a damaged bag.
    """

    def __init__(self, path: str, fixed_frame: str) -> None:
        self._fixed = fixed_frame
        self._buffer = TransformBuffer(seconds=math.inf)
        newest: dict[str, int] = {}
        for recorded in Recording(path).of_kind(TRANSFORMS):
            fixed = recorded.topic.rsplit("/", 1)[-1] == "tf_static"
            for entry in recorded.message.transforms:
                stamp = int(entry.header.stamp.sec) * 1_000_000_000 + int(entry.header.stamp.nanosec)
                if not fixed and 0 <= stamp - newest.get(entry.child_frame_id, -_SPACING) < _SPACING:
                    continue
                place, turn = entry.transform.translation, entry.transform.rotation
                try:
                    pose = Transform((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
                    self._buffer.put(entry.header.frame_id, entry.child_frame_id, stamp, pose, fixed=fixed)
                except InvalidInputError:
                    continue
                newest[entry.child_frame_id] = stamp

    def at(self, stamp: int, frame_id: str) -> Pose | None:
        """The pose of a sensor at `stamp`, nanoseconds; None if the bag does not tell."""
        try:
            found = self._buffer.lookup(self._fixed, frame_id, stamp, _TOLERANCE)
        except InvalidInputError:
            return None
        return Pose(self._fixed, found.translation, found.rotation)
