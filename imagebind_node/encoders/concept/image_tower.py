"""EfficientNet-Lite0 set up to run fast on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from imagebind_node.encoders.concept.convolution import for_inference
from imagebind_node.encoders.concept.efficientnet import INPUT_SIDE, EfficientNetLite0, normalise
from imagebind_node.encoders.concept.weights import load_network


class ImageTower:
    """uint8 pictures -> ImageNet logits, computed in `dtype`, returned as float32.

    count, side: how many pictures of which size it is made for. In float32 others are as fast; in other types fewer
    take as long as `count`, and other sizes several times as long, see `Convolution.fuse`. batch: how many at once are
    fastest: in float32 the activations of a larger batch leave caches of less than 2 MB a core.
    """

    def __init__(self, folder: Path, dtype: torch.dtype, count: int = 1, side: int = INPUT_SIDE) -> None:
        network = load_network(EfficientNetLite0, folder, "image.safetensors")
        self._network: Any = for_inference(network, dtype, (count, 3, side, side))
        self.dtype = dtype
        roomy = torch.cpu.get_capabilities().get("l2_cache_size", 0) >= 2 << 20
        self.batch = count if dtype is not torch.float32 else 8 if roomy else 1

    def logits(self, pictures: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, 1000)."""
        count = len(pictures)
        if self.dtype is not torch.float32 and count < self.batch:
            pictures = F.pad(pictures, (0, 0, 0, 0, 0, 0, 0, self.batch - count))
        return self._network(self._planes(pictures))[:count].float()

    def dense(self, pictures: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> logits of every 32x32 cell (B, ceil(H / 32), ceil(W / 32), 1000)."""
        return self._network.dense(self._planes(pictures)).float()

    def _planes(self, pictures: Tensor) -> Tensor:
        return normalise(pictures).to(self.dtype).permute(0, 3, 1, 2)
