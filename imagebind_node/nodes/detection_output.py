"""Detections, the annotated picture and the heatmap, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from imagebind_node.detection.detections import Detections
from imagebind_node.embedding import Embedding
from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import header
from imagebind_node.nodes.image_conversions import image_message
from imagebind_node.samples import ImageSample

if TYPE_CHECKING:
    from imagebind_node.nodes.base import ManagedNode

_COLOUR = (255, 64, 0)


class DetectionOutput:
    """Publishes one frame's result; pictures only while somebody subscribes to them."""

    def __init__(self, node: ManagedNode, detector: Any) -> None:
        self._detector = detector
        self._detections = node.publisher(Detection2DArray, "detections", qos.RESULT)
        self._image = node.publisher(Image, "detections/image", qos.SENSOR)
        self._heatmap = node.publisher(Image, "detections/heatmap", qos.SENSOR)

    def publish(
        self, sample: ImageSample, found: Detections, ids: np.ndarray, classes: dict[str, Embedding]
    ) -> None:
        """Publish detections of `sample`, an empty array if there are none, and the heatmap of the first class.

        ids: int64 (N,), of the tracks; 0 for none.
        """
        self._detections.publish(detection_array(sample, found, ids))
        if self._image.get_subscription_count() > 0:
            picture = draw(sample.data, found, ids)
            self._image.publish(image_message(picture, "rgb8", sample.stamp, sample.frame_id))
        if classes and self._heatmap.get_subscription_count() > 0:
            query = next(iter(classes.values()))
            heat = heatmap(self._detector.similarity_map(sample, query), sample.data.shape[:2])
            self._heatmap.publish(image_message(heat, "32FC1", sample.stamp, sample.frame_id))


def detection_array(sample: ImageSample, found: Detections, ids: np.ndarray) -> Detection2DArray:
    """Detections -> message; box centre and size in pixels, the picture's header throughout."""
    head = header(sample.stamp, sample.frame_id)
    array = Detection2DArray(header=head)
    for (x0, y0, x1, y1), score, label, track in zip(
        found.boxes.tolist(), found.scores.tolist(), found.labels, ids.tolist()
    ):
        detection = Detection2D(header=head, id=track_name(track))
        detection.bbox.center.position.x, detection.bbox.center.position.y = (x0 + x1) / 2, (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = label, score
        detection.results.append(hypothesis)
        array.detections.append(detection)
    return array


def track_name(track: int) -> str:
    """Id of a track as vision_msgs has it: text, empty for none."""
    return str(track) if track else ""


def draw(picture: np.ndarray, found: Detections, ids: np.ndarray) -> np.ndarray:
    """A copy of the picture (uint8 (H, W, 3) RGB) with boxes, labels, scores and ids."""
    canvas = picture.copy()
    thickness = max(1, round(max(picture.shape[:2]) / 320))
    boxes = found.boxes.round().astype(int).tolist()
    for (x0, y0, x1, y1), score, label, track in zip(boxes, found.scores, found.labels, ids.tolist()):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _COLOUR, thickness)
        text = f"{label} {score:.2f}" + (f" #{track}" if track else "")
        where = (x0 + 3, max(14, y0 - 5))
        for colour, width in (((0, 0, 0), thickness + 2), ((255, 255, 255), thickness)):
            cv2.putText(canvas, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * thickness, colour, width)
    return canvas


def heatmap(similarities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Similarity map (h, w) -> float32 of the picture's size (H, W), cosine -1 to 1."""
    grid = np.ascontiguousarray(similarities, np.float32)
    return grid if grid.shape == size else cv2.resize(grid, size[::-1], interpolation=cv2.INTER_LINEAR)
