"""Detections in space: boxes, an aligned depth picture and the camera's intrinsics become `detections_3d`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from imagebind_node.detection.detections import Detections
from imagebind_node.detection.lift3d import Intrinsics, Lifted, lift
from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import header
from imagebind_node.nodes.detection_output import track_name
from imagebind_node.nodes.picture_input import PictureInput
from imagebind_node.samples import DepthSample, ImageSample, Modality

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode

INFO_TOPIC = "camera/camera_info"
_DEMAND_PERIOD = 0.5


class Places:
    """Publishes `detections_3d` while somebody subscribes to it; only then are depth pictures received at all."""

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self._publisher = node.publisher(Detection3DArray, "detections_3d", qos.RESULT)
        self._depth: PictureInput | None = None
        self._intrinsics: Intrinsics | None = None
        self._candidates: list[DepthSample] = []
        self._timer: Any = None
        self._info: Any = None
        self.unmatched = 0

    def open(self) -> None:
        """Begin to look for subscribers."""
        self._timer = self._node.timer(_DEMAND_PERIOD, self._follow_demand)

    def close(self) -> None:
        """Unsubscribe."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._timer = None
        self._ignore()

    def publish(self, sample: ImageSample, found: Detections, ids: np.ndarray) -> None:
        """Publish the places of the detections of `sample`; boxes with too little depth are left out.

        Raises InvalidInputError if depth and camera_info do not fit together.
        """
        if self._depth is None:
            return
        depth = self._match(sample.stamp)
        intrinsics = self._intrinsics
        if depth is None or intrinsics is None:
            self.unmatched += 1
            return
        lifted = lift(found.boxes, depth.data, intrinsics)
        self._publisher.publish(detection_3d_array(sample, found, ids, lifted))

    def _match(self, stamp: int) -> DepthSample | None:
        """The depth picture nearest in time, if one is within `depth_slop`."""
        depth = self._depth.take(0.0) if self._depth is not None else None
        if isinstance(depth, DepthSample):
            # Depth may come before or after its picture: the two newest hold the nearest one.
            self._candidates = [*self._candidates[-1:], depth]
        slop = self._node.settings["depth_slop"] * 1e9
        near = [d for d in self._candidates if abs(d.stamp - stamp) <= slop]
        return min(near, key=lambda d: abs(d.stamp - stamp), default=None)

    def _follow_demand(self) -> None:
        wanted = self._publisher.get_subscription_count() > 0
        if wanted and self._depth is None:
            node = self._node
            self._info = node.subscription(CameraInfo, INFO_TOPIC, self._keep_info, qos.SENSOR)
            depth = PictureInput(node, Modality.DEPTH, lambda: None, rate=0.0, transport="raw")
            depth.open()
            self._depth = depth
        elif not wanted and self._depth is not None:
            self._ignore()

    def _ignore(self) -> None:
        if self._depth is not None:
            self._depth.close()
            self._node.unsubscribe(self._info)
        self._depth, self._intrinsics, self._candidates = None, None, []

    def _keep_info(self, message: CameraInfo) -> None:
        # P describes the rectified picture; drivers that do not rectify leave it empty.
        fx, _, cx, _, _, fy, cy = message.p[:7]
        if not fx:
            fx, _, cx, _, fy, cy = message.k[:6]
        self._intrinsics = Intrinsics(fx, fy, cx, cy, message.width, message.height)


def detection_3d_array(
    sample: ImageSample, found: Detections, ids: np.ndarray, lifted: Lifted
) -> Detection3DArray:
    """Places -> message in the optical frame of the camera, metres (REP-103)."""
    head = header(sample.stamp, sample.frame_id)
    array = Detection3DArray(header=head)
    for index, position, size, covariance in zip(
        lifted.index.tolist(), lifted.positions, lifted.sizes, lifted.covariances
    ):
        detection = Detection3D(header=head, id=track_name(ids[index]))
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = found.labels[index]
        hypothesis.hypothesis.score = float(found.scores[index])
        for pose in (hypothesis.pose.pose, detection.bbox.center):
            pose.position.x, pose.position.y, pose.position.z = position.tolist()
        # Rows and columns are x, y, z and the rotations, of which nothing is known.
        full = np.diag([0.0, 0.0, 0.0, *[np.pi**2] * 3])
        full[:3, :3] = covariance
        hypothesis.pose.covariance = full.ravel()
        detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = size.tolist()
        detection.results.append(hypothesis)
        array.detections.append(detection)
    return array
