"""EfficientNet-Lite0 set up to run fast on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imagebind_node.encoders.concept.convolution import for_inference
from imagebind_node.encoders.concept.efficientnet import EfficientNetLite0, normalise
from imagebind_node.encoders.concept.weights import load_network


class ImageTower:
    """uint8 pictures -> ImageNet logits, computed in `dtype`, returned as float32.

    batch: how many pictures at once are fastest. In float32 the activations of a larger batch leave caches of less
    than 2 MB a core.
    """

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        network = load_network(EfficientNetLite0, folder, "image.safetensors")
        self._network: Any = for_inference(network, dtype)
        self.dtype = dtype
        roomy = torch.cpu.get_capabilities().get("l2_cache_size", 0) >= 2 << 20
        self.batch = 8 if roomy or dtype is not torch.float32 else 1

    def logits(self, pictures: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, 1000)."""
        return self._network(self._planes(pictures)).float()

    def dense(self, pictures: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> logits of every 32x32 cell (B, ceil(H / 32), ceil(W / 32), 1000)."""
        return self._network.dense(self._planes(pictures)).float()

    def _planes(self, pictures: Tensor) -> Tensor:
        return normalise(pictures).to(self.dtype).permute(0, 3, 1, 2)
