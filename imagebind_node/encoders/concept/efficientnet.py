"""EfficientNet-Lite0 (image classification, ImageNet-1k) with batch normalisation folded into the convolutions.

Architecture: Tan and Le 2019; the Lite variant has no squeeze-and-excite, ReLU6 everywhere and fixed stem and head.
Paddings are TensorFlow's SAME, since the weights were trained with it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imagebind_node.encoders.concept.convolution import Convolution

INPUT_SIDE = 224
FEATURES = 1280
CLASSES = 1000
STRIDE = 32
# repeats, kernel, stride of the first repeat, expansion, output channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise), project (1x1); added to the input where shapes allow."""

    def __init__(self, channels: int, kernel: int, stride: int, expansion: int, out: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand = Convolution(channels, wide, 1, activation="hardtanh")
        self.depthwise = Convolution(
            wide, wide, kernel, stride, groups=wide, activation="hardtanh", same=True
        )
        self.project = Convolution(wide, out, 1)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x) if self.expands else x))
        return y.add_(x) if self.residual else y


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W) normalised pictures -> (B, 1000) logits; `dense` gives logits of every 32x32 cell."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2, activation="hardtanh", same=True)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, out in STAGES:
            for repeat in range(repeats):
                blocks.append(
                    InvertedResidual(channels, kernel, stride if repeat == 0 else 1, expansion, out)
                )
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = Convolution(channels, FEATURES, 1, activation="hardtanh")
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1280, ceil(H / 32), ceil(W / 32))."""
        return self.head(self.blocks(self.stem(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))

    def dense(self, x: Tensor) -> Tensor:
        """Logits before pooling: (B, h, w, 1000), one for every 32x32 cell."""
        return self.classifier(self.features(x).permute(0, 2, 3, 1))


def normalise(pixels: Tensor) -> Tensor:
    """uint8 or float pixels, 0 to 255, to the network's range (constants of the published checkpoint)."""
    return (pixels.to(torch.float32) - 127.0) / 128.0
