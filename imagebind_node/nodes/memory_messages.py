"""Memory filters and results as messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PoseStamped, Quaternion
from imagebind_msgs.msg import SearchResult
from sensor_msgs.msg import CompressedImage

from imagebind_node.memory.filters import MemoryFilter, Place
from imagebind_node.memory.moment import Hit
from imagebind_node.nodes.conversions import header, to_nanoseconds


def filter_of(message: Any) -> MemoryFilter:
    """MemoryFilter message -> filter. Raises InvalidInputError."""
    place = None
    if message.place_radius != 0.0:
        center = (message.place.x, message.place.y, message.place.z)
        place = Place(center, message.place_radius, message.place_frame or "map")
    return MemoryFilter(
        since=to_nanoseconds(message.since) or None,
        until=to_nanoseconds(message.until) or None,
        modalities=tuple(message.modalities),
        robots=tuple(message.robots),
        labels=tuple(message.labels),
        sources=tuple(message.sources),
        frame_ids=tuple(message.frame_ids),
        place=place,
    )


def result_message(hit: Hit, contributions: np.ndarray, thumbnail: bytes | None) -> SearchResult:
    """Hit -> message."""
    moment = hit.moment
    result = SearchResult(
        header=header(moment.stamp, moment.frame_id),
        id=hit.id,
        score=float(hit.score),
        contributions=[float(share) for share in contributions],
        modality=moment.modality.value,
        robot=moment.robot,
        source=moment.source,
        window=float(moment.window),
        media=moment.media,
        labels=[name for name, _ in moment.labels],
        label_scores=[float(score) for _, score in moment.labels],
    )
    if moment.pose is not None:
        x, y, z = moment.pose.position
        pose = PoseStamped(header=header(moment.stamp, moment.pose.frame_id))
        pose.pose.position = Point(x=x, y=y, z=z)
        qx, qy, qz, qw = moment.pose.orientation
        pose.pose.orientation = Quaternion(x=qx, y=qy, z=qz, w=qw)
        result.pose = pose
    if thumbnail is not None:
        result.thumbnail = CompressedImage(
            header=header(moment.stamp, moment.frame_id), format="jpeg", data=thumbnail
        )
    return result
