"""Text to sound retrieval on captioned datasets: each caption looks for its clip among all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.evaluation.datasets.base import CaptionedItem
from imagebind_node.evaluation.paper import REPORTED
from imagebind_node.evaluation.statistics import proportion
from imagebind_node.recognition.zero_shot import text_encoder
from imagebind_node.samples import Modality

RANKS = (1, 5, 10)


def evaluate_captions(
    encoder: Encoder,
    items: Sequence[CaptionedItem],
    name: str,
    *,
    progress: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Recall at 1, 5 and 10 with 95 % intervals and chance, and the median rank of the right clip.

    Returns {"dataset", "clips", "captions", "recall_at_k": {"value", "ci95", "n", "chance"}, "median_rank",
    "unreadable": [{"input", "reason"}], "paper": what ImageBind's authors report, or None}. Clips
    without a vector (silence) come last for every caption.
    """
    rows: list[np.ndarray] = []
    captions: list[str] = []
    owner: list[int] = []
    unreadable: list[dict[str, str]] = []
    for item in items:
        try:
            embedding = encoder.encode(Modality.AUDIO, [item.path])[0]
        except ImagebindNodeError as error:
            unreadable.append({"input": str(item.path), "reason": " ".join(str(error).split())})
            continue
        finally:
            if progress is not None:
                progress()
        owner += [len(rows)] * len(item.captions)
        captions += item.captions
        rows.append(embedding.vector if embedding.vector.size else np.zeros(encoder.space.dim, np.float32))
    if not rows:
        raise InvalidInputError(f"no clip of {name!r} can be read: {unreadable[0]['reason']}")
    similarity = text_encoder(encoder)(captions) @ np.stack(rows).T
    silent = ~np.stack(rows).any(1)
    similarity[:, silent] = -2.0
    order = np.argsort(-similarity, axis=1, kind="stable")
    rank = (order == np.array(owner)[:, None]).argmax(1)
    report: dict[str, Any] = {"dataset": name, "clips": len(rows), "captions": len(captions)}
    for k in RANKS:
        report[f"recall_at_{k}"] = proportion(rank < k) | {"chance": min(1.0, k / len(rows))}
    return {
        **report,
        "median_rank": float(np.median(rank) + 1),
        "unreadable": unreadable,
        "paper": REPORTED.get(name),
    }
