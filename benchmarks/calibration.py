"""Do scores of the detector keep their word? Every cue of a data set against every picture of it.

    python benchmarks/calibration.py DATA [--scenes 100] [--model concept]

DATA is a folder with scenes.json whose entries have "image", "labels" (all things in the picture), "label" and "sound".
A picture is unrelated to a cue if none of its labels is the cue's. A score of 0.95 should be reached by one unrelated
region in 20 (`kept word`). `in the picture` and `not in it` are the shares of (picture, cue) pairs for which anything
reaches the score. Cues that abstain are left out. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.detection.registry import default_detector, load_detector
from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import load_encoder
from imagebind_node.files import read_image
from imagebind_node.samples import Modality

SCORES = (0.5, 0.9, 0.95, 0.99)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", type=int, default=100, help="the first so many (default: 100)")
    parser.add_argument("--model", default="concept")
    args = parser.parse_args()
    scenes = json.loads((args.data / "scenes.json").read_text(encoding="utf-8"))[: args.scenes]
    encoder = load_encoder(args.model, modalities=["vision", "audio", "text"])
    detector = load_detector(default_detector(args.model), encoder)
    sounds = {scene["label"]: args.data / scene["sound"] for scene in scenes}
    words = sorted({label for scene in scenes for label in scene["labels"]})
    queries = {
        "sounds": dict(zip(sounds, encoder.encode(Modality.AUDIO, list(sounds.values())), strict=True)),
        "words": dict(zip(words, encoder.encode(Modality.TEXT, words), strict=True)),
    }
    found = {kind: Tally() for kind in queries}
    count = 0
    for scene in scenes:
        regions = detector.regions(read_image(args.data / scene["image"])).embeddings
        count += len(regions)
        for kind, cues in queries.items():
            found[kind].add(detector.new_classes(), cues, regions, set(scene["labels"]))
    report = {kind: tally.report() for kind, tally in found.items()}
    print(json.dumps({"scenes": len(scenes), "regions": count, **report}, indent=1))


class Tally:
    """Scores of one modality's cues: of unrelated regions, and the best of each picture."""

    def __init__(self) -> None:
        self._unrelated: list[np.ndarray] = []
        self._best: dict[bool, list[float]] = {True: [], False: []}
        self._cues: set[str] = set()

    def add(self, classes: Any, cues: dict[str, Embedding], regions: np.ndarray, present: set[str]) -> None:
        """One picture: its region embeddings (N, dim) and the labels of what is in it."""
        heard = {label: cue for label, cue in cues.items() if not cue.abstained}
        self._cues |= set(heard)
        classes.replace(list(heard), list(heard.values()))
        scores = classes.percentiles(regions, classes.similarities(regions))
        for label, column in zip(heard, scores.T, strict=True):
            self._best[label in present].append(float(column.max(initial=0.0)))
            if label not in present:
                self._unrelated.append(column)

    def report(self) -> dict[str, Any]:
        """Shares by score."""
        unrelated = np.concatenate(self._unrelated)
        return {
            "cues": len(self._cues),
            "kept word": {score: float((unrelated >= score).mean()) for score in SCORES},
            "in the picture": {score: self._share(True, score) for score in SCORES},
            "not in it": {score: self._share(False, score) for score in SCORES},
        }

    def _share(self, present: bool, score: float) -> float:
        return float((np.array(self._best[present]) >= score).mean())


if __name__ == "__main__":
    main()
