"""Detections of one frame after another become tracks with ids that survive short misses.

The association is ByteTrack (Zhang et al. 2022) from the `trackers` library: a Kalman filter a track, boxes
matched by overlap, confident ones first, the others used to keep tracks alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imagebind_node.detection.detections import Detections
from imagebind_node.errors import InvalidInputError, MissingDependencyError


class Tracker:
    """Gives detections ids. One thread at a time.

    rate: frames a second that the filter expects (it follows the stamps all the same); max_miss: seconds that
    a thing may go undetected and keep its id; min_score: a detection below it continues tracks but starts
    none; min_hits: consecutive detections until a thing gets an id; min_iou: overlap that two boxes need to
    be the same thing.

    Raises MissingDependencyError if the extra `tracking` is not installed.
    """

    def __init__(
        self,
        *,
        rate: float = 5.0,
        max_miss: float = 1.0,
        min_score: float = 0.5,
        min_hits: int = 2,
        min_iou: float = 0.2,
    ) -> None:
        fractions_good = 0 <= min_iou <= 1 and 0 <= min_score <= 1
        if not rate > 0 or not max_miss >= 0 or min_hits < 1 or not fractions_good:
            raise InvalidInputError(
                "tracking needs rate > 0, max_miss >= 0, min_hits >= 1, and min_iou and min_score in 0..1"
            )
        try:
            import supervision
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise MissingDependencyError(
                f"tracking needs the package {error.name!r}: pip install 'imagebind_node[tracking]'"
            ) from None
        self._library_detections = supervision.Detections
        # lost_track_buffer counts frames of a 30 Hz video, whatever the real rate.
        self._make = lambda: ByteTrackTracker(
            lost_track_buffer=round(max_miss * 30),
            frame_rate=rate,
            track_activation_threshold=min_score,
            high_conf_det_threshold=min_score,
            minimum_consecutive_frames=min_hits,
            minimum_iou_threshold=min_iou,
        )
        self._by_label: dict[str, Any] = {}
        self._ids: dict[tuple[str, int], int] = {}
        self._next_id = 1
        self._last_stamp: int | None = None
        self._last: dict[tuple[str, bytes], int] = {}

    def update(self, found: Detections, stamp: int) -> np.ndarray:
        """Ids of the detections of the frame of `stamp` (nanoseconds): int64 (N,), 0 for one without a track.

        Ids are >= 1 and unique over all labels. A frame older than the last one starts afresh (a recording that
        loops, a clock that was set back), with new ids. The last frame once more, searched for other classes,
        is no new observation: what was found before keeps its id. Call it for every frame, also for one without
        detections: that is how a miss is counted.
        """
        if stamp == self._last_stamp:
            return self._again(found)
        if self._last_stamp is not None and stamp < self._last_stamp:
            self.reset()
        self._last_stamp = stamp
        for label in found.labels:
            if label not in self._by_label:
                self._by_label[label] = self._make()
        ids = np.zeros(len(found), np.int64)
        for label, tracker in list(self._by_label.items()):
            members = np.array([i for i, name in enumerate(found.labels) if name == label], int)
            tracked = tracker.update(
                self._library_detections(
                    xyxy=found.boxes[members].astype(np.float64).reshape(-1, 4),
                    confidence=found.scores[members].astype(np.float64),
                    data={"index": members},
                ),
                timestamp=stamp / 1e9,
            )
            for index, number in zip(tracked.data.get("index", ()), tracked.tracker_id):
                if number >= 0:
                    ids[index] = self._id(label, int(number))
            if not tracker.tracks:
                self._drop(label)
        self._last = {_key(found, i): int(number) for i, number in enumerate(ids)}
        return ids

    def reset(self) -> None:
        """Forget all tracks; ids go on counting, so that none is used twice."""
        self._by_label.clear()
        self._ids.clear()
        self._last.clear()
        self._last_stamp = None

    def _again(self, found: Detections) -> np.ndarray:
        return np.array([self._last.get(_key(found, i), 0) for i in range(len(found))], np.int64)

    def _id(self, label: str, number: int) -> int:
        key = (label, number)
        if key not in self._ids:
            self._ids[key] = self._next_id
            self._next_id += 1
        return self._ids[key]

    def _drop(self, label: str) -> None:
        del self._by_label[label]
        self._ids = {key: value for key, value in self._ids.items() if key[0] != label}


def _key(found: Detections, index: int) -> tuple[str, bytes]:
    return found.labels[index], found.boxes[index].tobytes()
