"""Was the right thing found? Judged from the record alone, by the answers that lie beside the data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from imagebind_node.demo.record import Record, Seen
from imagebind_node.demo.scenes import Scene
from imagebind_node.demo.track import SETTLE, Interval, Track
from imagebind_node.detection.detections import box_iou

HIT_IOU = 0.5


@dataclass(frozen=True)
class CueResult:
    """How one cue went.

    heard: what the encoder took it for in most windows; confidence: mean over these. seen: the message with the
    best score while it sounded, or None. iou: of its first box with the right box. hits: share of messages whose
    first box was right. delay: seconds from the onset of the sound to the arrival of the first box. found: the
    box of the best score is right.
    """

    interval: Interval
    heard: str
    confidence: float
    seen: Seen | None
    iou: float
    hits: float
    delay: float | None
    found: bool


@dataclass(frozen=True)
class SceneResult:
    """All cues of a scene, and what happened in the silence between them."""

    scene: Scene
    cues: tuple[CueResult, ...]
    silent_messages: int
    silent_boxes: int


def judge(scene: Scene, track: Track, record: Record, scale: float) -> SceneResult:
    """Compare a record with the answers. `scale`: pixels of the scene's file per pixel of the camera picture."""
    cues = tuple(_judge_cue(scene, interval, record, scale) for interval in track.intervals)
    silent = [s for s in record.seen if track.is_silent(record.position(s.stamp))]
    return SceneResult(scene, cues, len(silent), sum(len(s.scores) > 0 for s in silent))


def best_iou(box: np.ndarray, answers: list[list[float]]) -> float:
    """Highest IoU of one box with any of the right boxes."""
    return float(box_iou(box, np.asarray(answers, np.float32)).max())


def _judge_cue(scene: Scene, interval: Interval, record: Record, scale: float) -> CueResult:
    def during(stamp: int) -> bool:
        return interval.start <= record.position(stamp) < interval.end + SETTLE / 2

    heard = [h for h in record.heard if during(h.stamp) and not h.abstained]
    label, _ = Counter(h.label for h in heard).most_common(1)[0] if heard else ("nothing", 0)
    confidences = [h.confidence for h in heard if h.label == label]
    # A slow machine may finish a frame of this cue when the next one sounds: its class then tells.
    names = {h.label for h in heard}
    seen = [s for s in record.seen if during(s.stamp) and len(s.scores) and s.labels[0] in names]
    answers = scene.things[interval.cue.thing]
    overlaps = [best_iou(s.boxes[0] * scale, answers) for s in seen]
    best = max(range(len(seen)), key=lambda i: float(seen[i].scores[0]), default=None)
    iou = overlaps[best] if best is not None else 0.0
    onset = 0 if record.started is None else record.started + round(interval.start * 1e9)
    return CueResult(
        interval=interval,
        heard=label,
        confidence=float(np.mean(confidences)) if confidences else 0.0,
        seen=None if best is None else seen[best],
        iou=iou,
        hits=float(np.mean([overlap >= HIT_IOU for overlap in overlaps])) if seen else 0.0,
        delay=min(((s.arrived - onset) / 1e9 for s in seen), default=None),
        found=iou >= HIT_IOU,
    )
