"""ESC-50 (Piczak 2015): meta/esc50.csv and audio/*.wav; 50 classes, all five folds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from imagebind_node.evaluation.datasets.base import Item, LabelledDataset, need, read_csv
from imagebind_node.files import read_audio
from imagebind_node.samples import Modality


def read_esc50(root: Path) -> LabelledDataset:
    """Class names with spaces instead of underscores."""
    rows = read_csv(need(root, "meta", "esc50.csv", what="ESC-50"), ("filename", "target", "category"))
    names = {int(row["target"]): row["category"].replace("_", " ") for row in rows}
    return LabelledDataset(
        "esc50",
        Modality.AUDIO,
        tuple(names[target] for target in sorted(names)),
        tuple(
            Item(
                row["filename"],
                (row["category"].replace("_", " "),),
                partial(read_audio, root / "audio" / row["filename"]),
            )
            for row in rows
        ),
    )
