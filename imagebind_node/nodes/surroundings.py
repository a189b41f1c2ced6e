"""What was around when something was remembered: the nearest camera picture, and the pose of the sensor."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.memory.moment import Pose
from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import to_nanoseconds
from imagebind_node.nodes.transforms import open_transforms
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode

_KEPT = 32
_NEAR_SECONDS = 1.0
# The transform at the very stamp is often not there yet: one half a second old is near enough for a memory.
_POSE_SECONDS = 0.5


class Pictures:
    """Small copies of the newest pictures of `camera/image_raw`, at most ten a second."""

    def __init__(self, node: ManagedNode, side: int) -> None:
        from sensor_msgs.msg import Image

        self._side = side
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=_KEPT)
        node.subscription(Image, "camera/image_raw", self._on_image, qos.SENSOR)

    def _on_image(self, message: Any) -> None:
        import cv2

        from imagebind_node.nodes.image_conversions import picture_sample

        stamp = to_nanoseconds(message.header.stamp)
        if self._recent and 0 <= stamp - self._recent[-1][0] < 100_000_000:
            return
        picture = picture_sample(message, Modality.VISION).data
        scale = self._side / max(picture.shape[:2])
        if scale < 1:
            size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        self._recent.append((stamp, np.array(picture)))

    def near(self, stamp: int) -> np.ndarray | None:
        """The picture nearest in time, uint8 (H, W, 3) RGB, None if there is none within a second."""
        if not self._recent:
            return None
        when, picture = min(tuple(self._recent), key=lambda entry: abs(entry[0] - stamp))
        return picture if abs(when - stamp) <= _NEAR_SECONDS * 1e9 else None


class Poses:
    """Pose of a sensor frame in the fixed frame from tf; where tf does not know it, that of the topic `pose`.

    state: where poses come from and what tf lacked last, for diagnostics.
    """

    def __init__(self, node: ManagedNode, fixed_frame: str) -> None:
        from geometry_msgs.msg import PoseStamped

        self._fixed = fixed_frame
        self._latest: tuple[int, Pose] | None = None
        self._transforms = open_transforms(node)
        self._source = "topic pose" if self._transforms is None else f"tf ({self._transforms.name})"
        self.state = self._source
        if self._transforms is None:
            node.get_logger().info("tf2_msgs is not installed: poses are taken from the topic `pose`")
        node.subscription(PoseStamped, "pose", self._on_pose, qos.RESULT)

    def _on_pose(self, message: Any) -> None:
        place, turn = message.pose.position, message.pose.orientation
        pose = Pose(message.header.frame_id, (place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
        self._latest = (to_nanoseconds(message.header.stamp), pose)

    def at(self, stamp: int, frame_id: str) -> Pose | None:
        """Pose at a time, None if it is not known."""
        if self._transforms is not None and frame_id:
            try:
                found = self._transforms.lookup(self._fixed, frame_id, stamp, _POSE_SECONDS)
            except InvalidInputError as error:
                self.state = f"{self._source}: {error}"
            else:
                self.state = self._source
                return Pose(self._fixed, found.translation, found.rotation)
        if self._latest is not None and abs(self._latest[0] - stamp) <= _POSE_SECONDS * 1e9:
            return self._latest[1]
        return None

    def close(self) -> None:
        """Stop listening to tf."""
        if self._transforms is not None:
            self._transforms.close()
