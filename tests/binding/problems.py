"""A small binding problem whose answer is known: inputs are a fixed linear picture of the anchors, with noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.recipe import Loss, Recipe, Training
from imagebind_node.embedding import Space

SPACE = Space("test", 16)


def pairs(count: int = 48, seed: int = 0, groups: int = 12) -> Pairs:
    rng = np.random.default_rng(seed)
    anchors = rng.normal(size=(count, SPACE.dim)).astype(np.float32)
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    picture = np.random.default_rng(99).normal(size=(SPACE.dim, 20)).astype(np.float32)
    inputs = anchors @ picture + 0.05 * rng.normal(size=(count, 20)).astype(np.float32)
    return Pairs(anchors, inputs, SPACE, groups=np.arange(count) % groups)


def tower(seed: int = 0, dropout: float = 0.3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(20, 32), nn.GELU(), nn.Dropout(dropout), nn.LayerNorm(32), nn.Linear(32, 16)
    )


def recipe(loss: Loss | None = None, **training: object) -> Recipe:
    defaults: dict[str, object] = {"batch": 16, "epochs": 4, "learning_rate": 3e-3, "seed": 5}
    settings = Training(**{**defaults, **training})  # type: ignore[arg-type]
    return Recipe(
        modality="lidar",
        tower={"name": "head", "features": 20},
        augmentations=({"name": "noise", "deviation": 0.02},),
        loss=loss or Loss(temperature=0.1),
        training=settings,
    )
