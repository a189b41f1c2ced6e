"""How well a tower meets anchors that it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from imagebind_node.binding.loss import BindingLoss
from imagebind_node.binding.pairs import Pairs
from imagebind_node.evaluation.statistics import bootstrap, chance_recall


@torch.no_grad()
def embed(tower: nn.Module, pairs: Pairs, *, chunk: int = 64, device: str = "cpu") -> np.ndarray:
    """Unit rows, float32 (N, D), of all pairs, without augmentation, the tower in evaluation mode meanwhile."""
    training = tower.training
    tower.eval()
    try:
        parts = []
        for start in range(0, len(pairs), chunk):
            rows = range(start, min(start + chunk, len(pairs)))
            inputs = torch.stack([pairs.input(row) for row in rows])
            parts.append(F.normalize(tower(inputs.to(device)).float(), dim=-1).cpu().numpy())
    finally:
        tower.train(training)
    return np.concatenate(parts)


@torch.no_grad()
def judge(
    tower: nn.Module, pairs: Pairs, loss: BindingLoss, *, chunk: int = 64, device: str = "cpu"
) -> dict[str, float]:
    """{"loss", "recall_at_1"} of held-out pairs, all in one batch."""
    rows = embed(tower, pairs, chunk=chunk, device=device)
    value = loss(torch.from_numpy(rows).to(device), torch.from_numpy(pairs.anchors).to(device))
    return {"loss": float(value), "recall_at_1": float((ranks(rows, pairs.anchors) == 0).mean())}


def ranks(rows: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Place, from 0, of each row's own anchor among all; ties count against it."""
    similarity = rows @ anchors.T
    own = np.diag(similarity)[:, None]
    better = similarity >= own
    return better.sum(1) - 1


def agreement(rows: np.ndarray, anchors: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """How well unit rows (N, D) meet unit anchors (N, D) of pairs that were not trained on.

    {"cosine": mean to the own anchor, "gallery": number of distinct anchors, "recall_at_1", "recall_at_5": of the own
    anchor among them, each as `recall` gives it}. Words repeat: equal anchors count as one. Intervals
    resample groups (sessions, classes), whose rows are alike.
    """
    gallery, own = np.unique(anchors.round(5), axis=0, return_inverse=True)
    own = own.reshape(-1)
    similarity = rows @ gallery.T
    mine = similarity[np.arange(len(rows)), own][:, None]
    place = (similarity >= mine).sum(1) - 1
    found: dict[str, Any] = {
        "cosine": float((rows * anchors).sum(1).mean()),
        "gallery": len(gallery),
    }
    return found | {f"recall_at_{at}": recall(place, len(gallery), groups, at) for at in (1, 5)}


def recall(rank: np.ndarray, gallery: int, groups: np.ndarray, at: int) -> dict[str, Any]:
    """{"value", "ci95", "n", "groups", "chance"} of recall at `at`.

    The interval resamples groups, whose rows are alike; None if there is only one.
    """
    names = np.unique(groups)
    hits = [(rank[groups == name] < at) for name in names]

    def share(chosen: np.ndarray) -> float:
        return float(np.concatenate([hits[k] for k in chosen]).mean())

    return {
        "value": float((rank < at).mean()),
        "ci95": list(bootstrap(share, len(names))) if len(names) > 1 else None,
        "n": len(rank),
        "groups": len(names),
        "chance": chance_recall(np.ones(1, int), gallery, at),
    }
