"""The network of the decoder of `concept`: flow matching (Lipman et al. 2023) on 64x64 pictures.

A noisy picture is x = t * clean + (1 - t) * noise, with t from 0 (noise) to 1. Two parts were trained. The global part
estimates the clean picture's principal components from those of x, component by component as strong as the noise leaves
them (the preconditioning of Karras et al. 2022, with the variance of each component for that of all pixels). The
local part, a small U-Net (Ronneberger et al. 2015), adds what a linear basis cannot say: edges and flat surfaces.

The third part needs no training: what the flow of the training pictures themselves says is known in closed form
(Karras et al. 2022, appendix B.3). While there is much noise, and with the pictures near to the embedding counting
more, it decides what is drawn better than so small a network could learn; so what is drawn starts out from pictures
that were seen in training (retrieval-augmented diffusion, Blattmann et al. 2022).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 64
COMPONENTS = 384
EMBEDDING = 384
_PIXELS = 3 * SIDE * SIDE
_CONDITION, _FREQUENCIES = 256, 64
_GLOBAL_WIDTH, _GLOBAL_BLOCKS = 640, 3
# The local part works on 4x4 blocks of pixels: a sixteenth of the positions, a wide view for a small network.
_BLOCK = 4
_NARROW, _WIDE = 128, 256
# Standard deviation of what the global part leaves over, about; sets the scale of the local part's output.
_LEFT_OVER = 0.25
# Cosine by which a training picture has to be nearer to the embedding to count e times as much.
_LIKING = 0.02


class Condition(nn.Module):
    """Time and embedding -> one vector that the blocks are modulated by."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(EMBEDDING, _CONDITION)
        self.time = nn.Linear(2 * _FREQUENCIES, _CONDITION)
        self.mix = nn.Linear(_CONDITION, _CONDITION)

    def forward(self, time: Tensor, embedding: Tensor) -> Tensor:
        """time: (B,); embedding: (B, 384) -> (B, 256)."""
        steps = torch.arange(_FREQUENCIES, device=time.device, dtype=torch.float32)
        angles = time[:, None] * torch.exp(steps * (math.log(1000.0) / _FREQUENCIES))
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        # A unit vector's entries are about 0.05: brought to about 1, as the other inputs are.
        mixed = self.embedding(embedding * math.sqrt(EMBEDDING)) + self.time(waves)
        return F.silu(self.mix(F.silu(mixed)))


class _DenseBlock(nn.Module):
    """Residual layer whose normalisation is shifted and scaled by the condition (Peebles and Xie 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_GLOBAL_WIDTH, elementwise_affine=False)
        self.modulation = nn.Linear(_CONDITION, 2 * _GLOBAL_WIDTH)
        self.first = nn.Linear(_GLOBAL_WIDTH, _GLOBAL_WIDTH)
        self.dropout = nn.Dropout(0.1)
        self.second = nn.Linear(_GLOBAL_WIDTH, _GLOBAL_WIDTH)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.modulation(condition).chunk(2, -1)
        hidden = self.norm(x) * (1 + scale) + shift
        return x + self.second(self.dropout(F.silu(self.first(hidden))))


class GlobalPart(nn.Module):
    """Estimates the clean picture by its principal components."""

    mean: Tensor
    basis: Tensor
    deviation: Tensor
    rest: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Of the training pictures: mean; orthonormal components; standard deviation along each; and of a pixel beyond.
        self.register_buffer("mean", torch.zeros(_PIXELS))
        self.register_buffer("basis", torch.zeros(COMPONENTS, _PIXELS))
        self.register_buffer("deviation", torch.ones(COMPONENTS))
        self.register_buffer("rest", torch.ones(1))
        self.condition = Condition()
        self.enter = nn.Linear(COMPONENTS, _GLOBAL_WIDTH)
        self.blocks = nn.ModuleList(_DenseBlock() for _ in range(_GLOBAL_BLOCKS))
        self.leave = nn.Linear(_GLOBAL_WIDTH, COMPONENTS)

    def project(self, x: Tensor, time: Tensor) -> Tensor:
        """Noisy pictures (B, 3, 64, 64) -> their components, mean taken off (B, 384)."""
        return (x.flatten(1) - time[:, None] * self.mean) @ self.basis.T

    def components(self, noisy: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """Noisy components -> estimate of the clean ones, both (B, 384)."""
        t, rest = time[:, None], 1 - time[:, None]
        spread = ((t * self.deviation) ** 2 + rest**2).sqrt()
        condition = self.condition(time, embedding)
        hidden = self.enter(noisy / spread)
        for block in self.blocks:
            hidden = block(hidden, condition)
        unsaid = self.leave(F.silu(hidden)).float()
        # What a linear estimate would say, and the network's word on what that leaves open.
        return noisy * t * (self.deviation / spread) ** 2 + unsaid * self.deviation * rest / spread

    def forward(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """(B, 3, 64, 64), (B,), (B, 384) -> estimate of the clean pictures (B, 3, 64, 64)."""
        return self.picture(x, time, self.components(self.project(x, time), time, embedding))

    def picture(self, x: Tensor, time: Tensor, components: Tensor) -> Tensor:
        """Estimate of the clean picture from its components, and from x for what lies beyond them."""
        t = time[:, None]
        beyond = x.flatten(1) - t * self.mean - self.project(x, time) @ self.basis
        trust = t * self.rest**2 / ((t * self.rest) ** 2 + (1 - t) ** 2)
        estimate = self.mean + components @ self.basis + trust * beyond
        return estimate.unflatten(1, (3, SIDE, SIDE))


class _ConvolutionBlock(nn.Module):
    """Two convolutions with group normalisation, the second one modulated by the condition, and a shortcut."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(16, channels)
        self.first = nn.Conv2d(channels, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(16, out, affine=False)
        self.modulation = nn.Linear(_CONDITION, 2 * out)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.modulation(condition)[..., None, None].chunk(2, 1)
        hidden = self.first(F.silu(self.norm1(x)))
        hidden = self.second(F.silu(self.norm2(hidden) * (1 + scale) + shift))
        return self.shortcut(x) + hidden


class LocalPart(nn.Module):
    """What is to be added to the global estimate."""

    def __init__(self) -> None:
        super().__init__()
        planes = 3 * _BLOCK**2
        self.condition = Condition()
        self.enter = nn.Conv2d(2 * planes, _NARROW, 3, padding=1)
        self.down = nn.ModuleList([_ConvolutionBlock(_NARROW, _NARROW) for _ in range(2)])
        self.shrink = nn.Conv2d(_NARROW, _WIDE, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([_ConvolutionBlock(_WIDE, _WIDE) for _ in range(2)])
        self.enlarge = nn.Conv2d(_WIDE, _NARROW * 4, 1)
        self.up = nn.ModuleList(
            [_ConvolutionBlock(2 * _NARROW, _NARROW), _ConvolutionBlock(_NARROW, _NARROW)]
        )
        self.leave = nn.Conv2d(_NARROW, planes, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, rough: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """Noisy pictures and global estimates (B, 3, 64, 64), (B,), (B, 384) -> (B, 3, 64, 64)."""
        t, rest = time[:, None, None, None], 1 - time[:, None, None, None]
        condition = self.condition(time, embedding)
        # About unit variance whatever the time: pictures have a standard deviation of about 0.6.
        scaled = x / ((0.6 * t) ** 2 + rest**2).sqrt()
        hidden = self.enter(F.pixel_unshuffle(torch.cat([scaled, rough], 1), _BLOCK))
        for block in self.down:
            hidden = block(hidden, condition)
        kept, hidden = hidden, self.shrink(hidden)
        for block in self.middle:
            hidden = block(hidden, condition)
        hidden = torch.cat([F.pixel_shuffle(self.enlarge(hidden), 2), kept], 1)
        for block in self.up:
            hidden = block(hidden, condition)
        said = F.pixel_shuffle(self.leave(F.silu(hidden)), _BLOCK).float()
        return said * (_LEFT_OVER * rest / ((_LEFT_OVER * t) ** 2 + rest**2).sqrt())


class Recall(nn.Module):
    """The training pictures: the mean of those that a noisy one may have been made from."""

    components: Tensor
    embeddings: Tensor

    def __init__(self, pictures: int) -> None:
        super().__init__()
        self.register_buffer("components", torch.zeros(pictures, COMPONENTS))
        self.register_buffer("embeddings", torch.zeros(pictures, EMBEDDING))

    def forward(self, noisy: Tensor, time: Tensor, embedding: Tensor, away: Tensor) -> Tensor:
        """Noisy components (B, 384), (B,), embeddings wanted and not wanted (B, 384) -> clean components (B, 384)."""
        t = time[:, None]
        distance = torch.cdist(noisy, self.components * t[:1]).square()
        liking = (embedding - away) @ self.embeddings.T / _LIKING
        weights = (liking - distance / (2 * (1 - t) ** 2)).softmax(-1)
        return weights @ self.components


class PictureFlow(nn.Module):
    """All parts: noisy pictures to an estimate of the clean ones."""

    def __init__(self, pictures: int) -> None:
        """pictures: how many of the training are kept."""
        super().__init__()
        self.recall = Recall(pictures)
        self.rough = GlobalPart()
        self.fine = LocalPart()

    def recalled(self, x: Tensor, time: Tensor, embedding: Tensor, away: Tensor) -> Tensor:
        """Estimate by the training pictures; shapes as in `forward`, all times equal; away: what is not wanted."""
        return self.rough.picture(x, time, self.recall(self.rough.project(x, time), time, embedding, away))

    def forward(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """x: (B, 3, 64, 64), -1 black to 1 white; time: (B,) 0 to 1; embedding: (B, 384) unit, zeros for none."""
        rough = self.rough(x, time, embedding)
        return rough + self.fine(x, rough, time, embedding)
