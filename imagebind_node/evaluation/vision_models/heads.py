"""Light heads, trained with the trainer of binding/ so that frozen features of a sense meet frozen image features."""

from __future__ import annotations

import numpy as np

from imagebind_node.binding.judge import embed
from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.recipe import Loss, Recipe, Training
from imagebind_node.binding.towers import build_tower
from imagebind_node.binding.trainer import Trainer
from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError

# Chosen on made data with a known answer (tests), not on pictures: enough steps that a linear head finds what is there.
TRAINING = Training(batch=256, epochs=200, warmup_epochs=5, learning_rate=3e-3, weight_decay=0.2)
LOSS = Loss(temperature=0.07)


def image_anchors(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Unit rows (N, D): features less the mean of the training pictures, so that no encoder is at a disadvantage for
    having all its vectors in one corner. train: bool (N,). Raises InvalidInputError if all pictures look the same."""
    centred = features - features[train].mean(0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    if not (norms > 1e-6 * max(float(np.abs(features).max()), 1e-12)).all():
        raise InvalidInputError("the image encoder gives the same features for different pictures")
    return (centred / norms).astype(np.float32)


def fit_head(
    features: np.ndarray, anchors: np.ndarray, groups: np.ndarray, train: np.ndarray, *, name: str, seed: int
) -> np.ndarray:
    """Train a linear head on the rows `train` (bool (N,)); returns unit rows (N, D) of all.

    features: float32 (N, F) of one sense, anchors: float32 (N, D) unit rows, of the same things.
    """
    recipe = Recipe(
        modality=name,
        tower={"name": "head", "features": features.shape[1]},
        loss=LOSS,
        training=Training(**{**vars(TRAINING), "seed": seed}),
    )
    pairs = Pairs(anchors, features, Space("vision-model", anchors.shape[1]), groups=groups)
    tower = build_tower(recipe.tower, anchors.shape[1], seed=seed)
    outcome = Trainer(recipe, tower, pairs.part(train)).fit()
    return embed(outcome.tower, pairs, chunk=1024)
