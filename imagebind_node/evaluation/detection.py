"""Detection by cue: does the box of the thing that makes the sound come first?"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.detection.base import Detector
from imagebind_node.detection.detections import box_iou
from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.listing import for_entry, read_list
from imagebind_node.evaluation.statistics import average_precision, bootstrap, proportion
from imagebind_node.samples import AudioSample, Modality

QUERIES = ("sound", "text", "image")
NOISE_CLIPS = 50
_NOISE_RATE = 16_000


def evaluate_detection(
    detector: Detector,
    encoder: Encoder,
    scenes_json: str | Path,
    *,
    query: str = "sound",
    iou: float = 0.5,
) -> dict[str, Any]:
    """Search every scene for one thing and see whether the best box is the right one.

    scenes_json: list of {"image", "sound", "label", "box": [x0, y0, x1, y1] pixels}, paths relative to the list.
    query: what the detector is given: the "sound"; the "label" as "text"; or, for "image", the picture that
    pairs.json beside the list holds for the label.

    Returns {"n", "query", "iou", "right_box": {"value", "ci95", "n", "chance"}, "proposal_recall",
    "average_precision": {"value", "ci95"}, "abstained", "abstention": {"silence", "white_noise"}, "regions",
    "detect_ms"}. An abstained cue counts as a miss. `chance` is a proposal drawn at random; `proposal_recall` the
    share of scenes where any proposal is right. Raises InvalidInputError naming the entry that cannot be used.
    """
    if query not in QUERIES:
        raise InvalidInputError(f"unknown query kind {query!r}: use one of {', '.join(QUERIES)}")
    path = Path(scenes_json)
    fields: dict[str, Any] = {"image": str, "label": str, "box": list}
    entries = read_list(path, fields | ({"sound": str} if query == "sound" else {}))
    cues = _Cues(encoder, path, query)
    hits, recalled, chances, counts, spent, abstained = [], [], [], [], [], 0
    ranked: list[tuple[np.ndarray, np.ndarray]] = []
    for index, entry in enumerate(entries):
        classes = detector.new_classes()
        cue = for_entry(path, index, partial(cues.of, entry))
        truth = for_entry(path, index, partial(_box, entry["box"]))
        sample = for_entry(path, index, partial(_picture, path.parent / entry["image"]))
        start = time.perf_counter()
        regions = detector.regions(sample)
        if not cue.abstained:
            classes.replace([entry["label"]], [cue])
        found = classes.detect(regions, max_detections=max(len(regions), 1), nms_iou=0.7)
        spent.append(time.perf_counter() - start)
        inside = box_iou(regions.boxes, truth)[:, 0] >= iou
        correct = box_iou(found.boxes, truth)[:, 0] >= iou
        abstained += cue.abstained
        counts.append(len(regions))
        recalled.append(bool(inside.any()))
        chances.append(float(inside.mean()) if len(inside) else 0.0)
        hits.append(bool(len(correct) and correct[0]))
        # One thing is to be found: every right box after the first is a duplicate, so wrong.
        ranked.append((found.scores, correct & (np.cumsum(correct) == 1)))

    def precision(indices: np.ndarray) -> float:
        scores = np.concatenate([ranked[i][0] for i in indices])
        correct = np.concatenate([ranked[i][1] for i in indices])
        return average_precision(scores, correct, len(indices))

    report = {
        "n": len(entries),
        "query": query,
        "iou": iou,
        "right_box": proportion(np.array(hits)) | {"chance": float(np.mean(chances))},
        "proposal_recall": proportion(np.array(recalled)),
        "average_precision": {
            "value": precision(np.arange(len(entries))),
            "ci95": list(bootstrap(precision, len(entries), rounds=500)),
        },
        "abstained": abstained / len(entries),
        "regions": float(np.mean(counts)),
        "detect_ms": float(np.median(spent) * 1e3),
    }
    if Modality.AUDIO in encoder.modalities:
        report["abstention"] = abstention(encoder)
    return report


def abstention(encoder: Encoder, *, seed: int = 0) -> dict[str, float]:
    """Share of silent clips and of white noise clips (5 s, -60 to 0 dB of full scale) that the encoder abstains on."""
    rng = np.random.default_rng(seed)
    count = 5 * _NOISE_RATE
    noise = []
    for level in np.linspace(-60, 0, NOISE_CLIPS):
        clip = rng.standard_normal(count) * 10 ** (level / 20) / 3
        noise.append(np.clip(clip, -1, 1).astype(np.float32))
    silence = [np.zeros(count, np.float32), (rng.standard_normal(count) * 1e-5).astype(np.float32)]
    shares = {}
    for name, clips in (("silence", silence), ("white_noise", noise)):
        answers = [
            encoder.encode(Modality.AUDIO, [AudioSample(clip, _NOISE_RATE)])[0].abstained for clip in clips
        ]
        shares[name] = float(np.mean(answers))
    return shares


class _Cues:
    """Embeds each distinct cue once."""

    def __init__(self, encoder: Encoder, path: Path, query: str) -> None:
        self._encoder, self._folder, self._query = encoder, path.parent, query
        self._known: dict[str, Embedding] = {}
        self._pictures: dict[str, str] = {}
        if query == "image":
            pairs = read_list(path.parent / "pairs.json", {"text": str, "image": str})
            self._pictures = {entry["text"]: entry["image"] for entry in pairs}

    def of(self, entry: dict[str, Any]) -> Embedding:
        """Embedding of the cue of a scene."""
        modality, value = self._cue(entry)
        key = str(value)
        if key not in self._known:
            (self._known[key],) = self._encoder.encode(modality, [value])
        return self._known[key]

    def _cue(self, entry: dict[str, Any]) -> tuple[Modality, Any]:
        if self._query == "sound":
            return Modality.AUDIO, self._folder / entry["sound"]
        if self._query == "text":
            return Modality.TEXT, entry["label"]
        if entry["label"] not in self._pictures:
            raise InvalidInputError(f"pairs.json has no picture for label {entry['label']!r}")
        return Modality.VISION, self._folder / self._pictures[entry["label"]]


def _box(values: list[Any]) -> np.ndarray:
    try:
        box = np.array([values], np.float32)
    except (TypeError, ValueError):
        box = np.zeros((0, 0), np.float32)
    if box.shape != (1, 4) or not np.isfinite(box).all() or not (box[0, :2] < box[0, 2:]).all():
        raise InvalidInputError(f"box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {values}")
    return box


def _picture(path: Path) -> Any:
    from imagebind_node.files import as_sample

    return as_sample(path, Modality.VISION)
