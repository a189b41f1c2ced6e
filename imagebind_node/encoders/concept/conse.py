"""Convex combination of semantic embeddings (ConSE, Norouzi et al. 2013).

What a classifier sees is written as the mean of the text embeddings of its best classes, weighted by how much it
believes in each: so pictures, sounds and words meet in the space of the text embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def top(weights: Tensor, count: int) -> Tensor:
    """Keep the `count` largest of the last axis, zero the others."""
    values, indices = weights.topk(count, dim=-1)
    return torch.zeros_like(weights).scatter_(-1, indices, values)


def conse(weights: Tensor, rows: Tensor, count: int) -> Tensor:
    """Class weights (..., C) >= 0 and class embeddings (C, D) -> unit vectors (..., D)."""
    return F.normalize(top(weights, count) @ rows, dim=-1)
