"""NanoDet-g (COCO, 80 classes): an anchor-free one-stage detector of 3.8 M parameters.

Architecture: NanoDet by RangiLyu, configuration `nanodet-g` (CSP backbone, path aggregation neck, shared-nothing
heads, boxes as distributions over 11 distances: generalised focal loss, Li et al. 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.encoders.concept.convolution import Convolution

CLASSES = 80
STRIDES = (8, 16, 32)
BINS = 11
MEAN_BGR = (103.53, 116.28, 123.675)
STD_BGR = (57.375, 57.12, 58.395)
NECK = 128
# output channels, number of residual blocks, whether the stage halves the resolution
STAGES = ((32, 1, False), (64, 2, True), (128, 2, True), (256, 3, True))


def _conv3(channels: int, out: int, stride: int = 1) -> Convolution:
    return Convolution(channels, out, 3, stride, activation="leaky_relu")


class CspBlock(nn.Module):
    """Two convolutions; the output is both of their results."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv3(channels, channels // 2)
        self.second = _conv3(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.cat([self.second(x), x], 1)


class CspStage(nn.Module):
    """One resolution of the backbone; twice `out` channels come out, half of them bypass the blocks."""

    def __init__(self, channels: int, out: int, blocks: int, halve: bool) -> None:
        super().__init__()
        self.enter = _conv3(channels, out, 2 if halve else 1)
        self.blocks = nn.Sequential(*[CspBlock(out) for _ in range(blocks)])
        self.leave = _conv3(out, out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return torch.cat([self.leave(self.blocks(x)), x], 1)


class Head(nn.Module):
    """Class scores and box distance distributions of one resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = _conv3(NECK, NECK)
        self.predict = Convolution(NECK, CLASSES + 4 * BINS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(self.filter(x))


class NanoDet(nn.Module):
    """(B, 3, H, W) normalised BGR, H and W multiples of 32 -> raw maps (B, 124, H/s, W/s), s = 8, 16, 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv3(3, 32, 2)
        stages, channels = [], 32
        for out, blocks, halve in STAGES:
            stages.append(CspStage(channels, out, blocks, halve))
            channels = 2 * out
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(Convolution(2 * out, NECK, 1) for out, _, halve in STAGES if halve)
        self.heads = nn.ModuleList(Head() for _ in STRIDES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        levels = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index:
                levels.append(self.lateral[index - 1](x))
        fine, middle, coarse = levels
        middle = middle + F.interpolate(coarse, size=middle.shape[-2:], mode="bilinear")
        fine = fine + F.interpolate(middle, size=fine.shape[-2:], mode="bilinear")
        middle = middle + F.interpolate(fine, size=middle.shape[-2:], mode="bilinear")
        coarse = coarse + F.interpolate(middle, size=coarse.shape[-2:], mode="bilinear")
        return self.heads[0](fine), self.heads[1](middle), self.heads[2](coarse)


def decode(maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Raw maps of one picture -> boxes (N, 4) x0 y0 x1 y1 in input pixels, class probabilities (N, 80)."""
    boxes, scores = [], []
    distance = torch.arange(BINS, dtype=torch.float32)
    for stride, level in zip(STRIDES, maps):
        flat = level[0].flatten(1).T.float()
        scores.append(flat[:, :CLASSES].sigmoid())
        reach = flat[:, CLASSES:].reshape(-1, 4, BINS).softmax(-1) @ distance * stride
        rows, columns = level.shape[-2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centre = torch.stack([x.flatten(), y.flatten()], 1).add(0.5) * stride
        boxes.append(torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], 1))
    return torch.cat(boxes), torch.cat(scores)
