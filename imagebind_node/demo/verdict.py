"""Was the right thing found? Judged from the record alone, by the answers that lie beside the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagebind_node.demo.record import Record, Seen
from imagebind_node.demo.scenes import Scene
from imagebind_node.demo.track import SETTLE, Interval, Track
from imagebind_node.detection.detections import box_iou

HIT_IOU = 0.5
NOTHING = "nothing"


@dataclass(frozen=True)
class CueResult:
    """How one cue went.

    heard, confidence: what the encoder took it for in its surest window. seen: the message with the best score
    of those that looked for this, or None. iou: of its first box with the right box. hits: share of these messages
    whose first box was right. delay: seconds from the onset of the sound to the first right box, under any name that
    the sound was heard by. found: the box of the best score is right.
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
    silent = [s for s in record.seen if track.is_silent(record.position(s.arrived))]
    return SceneResult(scene, cues, len(silent), sum(len(s.scores) > 0 for s in silent))


def best_iou(box: np.ndarray, answers: list[list[float]]) -> float:
    """Highest IoU of one box with any of the right boxes."""
    return float(box_iou(box, np.asarray(answers, np.float32)).max())


def _judge_cue(scene: Scene, interval: Interval, record: Record, scale: float) -> CueResult:
    def during(stamp: int) -> bool:
        return interval.start <= record.position(stamp) < interval.end + SETTLE / 2

    heard = [h for h in record.heard if during(h.stamp) and not h.abstained]
    surest = max(heard, key=lambda h: h.confidence, default=None)
    label = surest.label if surest else NOTHING
    # By arrival, not by the picture's stamp: a new cue searches the newest frame at hand again, and that frame
    # may be older than the sound. Only messages that name what was heard most surely count: the onset and the
    # end of a sound, and a late frame of the cue before, are searched for something else.
    names = {h.label for h in heard}
    named = [s for s in record.seen if during(s.arrived) and len(s.scores) and s.labels[0] in names]
    seen = [s for s in named if s.labels[0] == label]
    answers = scene.things[interval.cue.thing]

    def overlap(message: Seen) -> float:
        return best_iou(message.boxes[0] * scale, answers)

    overlaps = [overlap(s) for s in seen]
    best = max(range(len(seen)), key=lambda i: float(seen[i].scores[0]), default=None)
    iou = overlaps[best] if best is not None else 0.0
    onset = 0 if record.started is None else record.started + round(interval.start * 1e9)
    return CueResult(
        interval=interval,
        heard=label,
        confidence=surest.confidence if surest else 0.0,
        seen=None if best is None else seen[best],
        iou=iou,
        hits=float(np.mean(np.array(overlaps) >= HIT_IOU)) if seen else 0.0,
        delay=min(((s.arrived - onset) / 1e9 for s in named if overlap(s) >= HIT_IOU), default=None),
        found=iou >= HIT_IOU,
    )
