"""Image encoders to compare in `evaluate vision-model`, as MODULE:FUNCTION: one network, trained and untrained.

  PYTHONPATH=benchmarks imagebind-node evaluate vision-model vision_models:trained vision_models:untrained \\
      vision_models:colours --data DATA
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from imagebind_node.encoders.concept.efficientnet import INPUT_SIDE, EfficientNetLite0, normalise
from imagebind_node.encoders.concept.picture import square
from imagebind_node.encoders.concept.weights import load_network, model_dir


def trained(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The 1280 features before the classes of `concept`'s EfficientNet-Lite0 (ImageNet)."""
    return _features(_network(True), pictures)


def untrained(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The same network with random weights (PyTorch's own initialisation, seed 0)."""
    return _features(_network(False), pictures)


def colours(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """No network at all: a histogram of 4 x 4 x 4 colours."""
    rows = []
    for picture in pictures:
        cells = (square(picture, INPUT_SIDE).astype(int) // 64).reshape(-1, 3) @ (16, 4, 1)
        rows.append(np.bincount(cells, minlength=64) / len(cells))
    return np.array(rows)


@lru_cache(maxsize=2)
def _network(trained: bool) -> Any:
    if trained:
        return load_network(EfficientNetLite0, model_dir("concept"), "image.safetensors")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return EfficientNetLite0().eval()


@torch.inference_mode()
def _features(network: Any, pictures: Sequence[np.ndarray]) -> np.ndarray:
    batch = torch.from_numpy(np.stack([square(picture, INPUT_SIDE) for picture in pictures]))
    return network.features(normalise(batch).permute(0, 3, 1, 2)).mean((2, 3)).numpy()
