"""Small towers for the edge: convolutions for pictures and spectrograms, for time series, and a plain head.

Normalisation is by groups, never over the batch: gradient caching embeds a batch in chunks, and a row must not
depend on which others it is embedded with.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.binding.towers import register_tower
from imagebind_node.errors import InvalidInputError

_GROUP = 8


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // _GROUP), channels)


class _Separable(nn.Module):
    """Depthwise and pointwise convolution with a residual, after MobileNet (Howard et al. 2017)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dims: int) -> None:
        super().__init__()
        convolution = nn.Conv1d if dims == 1 else nn.Conv2d
        kernel = 9 if dims == 1 else 3
        self.depthwise = convolution(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
        self.pointwise = convolution(inputs, outputs, 1, bias=False)
        self.norms = nn.ModuleList([_norm(inputs), _norm(outputs)])
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norms[0](self.depthwise(x)))
        y = self.norms[1](self.pointwise(y))
        return F.silu(x + y if self.residual else y)


class ConvolutionTower(nn.Module):
    """(B, channels, T) or (B, channels, H, W), or clips of them (B, S, channels, ...) -> (B, dim)."""

    def __init__(
        self, dim: int, dims: int, channels: int, widths: Sequence[int], blocks: int, dropout: float
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1 or channels < 1 or blocks < 1:
            raise InvalidInputError("a convolution tower needs channels, blocks and widths above 0")
        convolution = nn.Conv1d if dims == 1 else nn.Conv2d
        kernel = 9 if dims == 1 else 3
        self.dims, self.channels = dims, channels
        self.stem = convolution(channels, widths[0], kernel, 2, kernel // 2, bias=False)
        self.stem_norm = _norm(widths[0])
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers.append(_Separable(inputs, outputs, 2, dims))
            layers += [_Separable(outputs, outputs, 1, dims) for _ in range(blocks - 1)]
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], dim)

    def forward(self, batch: Tensor) -> Tensor:
        clips = batch.shape[1] if batch.ndim == self.dims + 3 else 0
        x = batch.flatten(0, 1) if clips else batch
        if x.ndim != self.dims + 2 or x.shape[1] != self.channels:
            sides = ", ".join("TH"[self.dims - 1] + "W" * (self.dims - 1))
            raise InvalidInputError(
                f"tower input must be (B, {self.channels}, {sides}), got {tuple(batch.shape)}"
            )
        x = self.layers(F.silu(self.stem_norm(self.stem(x))))
        x = self.head(self.dropout(x.flatten(2).mean(2)))
        return F.normalize(x, dim=-1).unflatten(0, (-1, clips)).mean(1) if clips else x


@register_tower("conv2d")
def conv2d(
    dim: int,
    channels: int = 1,
    widths: Sequence[int] = (24, 48, 96, 192),
    blocks: int = 2,
    dropout: float = 0.0,
) -> nn.Module:
    """Pictures and spectrograms, (B, channels, H, W) or (B, clips, channels, H, W)."""
    return ConvolutionTower(dim, 2, channels, widths, blocks, dropout)


@register_tower("conv1d")
def conv1d(
    dim: int,
    channels: int = 6,
    widths: Sequence[int] = (48, 96, 128, 128),
    blocks: int = 1,
    dropout: float = 0.0,
) -> nn.Module:
    """Time series and scans, (B, channels, T) or (B, clips, channels, T)."""
    return ConvolutionTower(dim, 1, channels, widths, blocks, dropout)


@register_tower("head")
def head(dim: int, features: int = 1024, hidden: int = 0, dropout: float = 0.0) -> nn.Module:
    """On the features (B, features) of a frozen network: linear, or with one hidden layer."""
    if features < 1 or hidden < 0:
        raise InvalidInputError("a head needs features above 0")
    layers: list[nn.Module] = [nn.LayerNorm(features), nn.Dropout(dropout)]
    if hidden:
        layers += [nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden or features, dim))
