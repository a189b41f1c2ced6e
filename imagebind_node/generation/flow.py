"""Networks of the decoder of `concept`: conditional flow matching (Lipman et al. 2023) on picture coefficients.

A picture is 512 coefficients of a fixed linear basis (principal components). FlowNetwork turns noise into
coefficients that fit an embedding; Codec turns coefficients into pixels, with small convolutions for what a linear
basis blurs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

SIDE = 64
COEFFICIENTS = 512
EMBEDDING = 384
_WIDTH, _CONDITION, _BLOCKS, _FREQUENCIES = 896, 256, 3, 64
# Velocity is (estimate - x) / (1 - t): without a bound the last step would divide by nothing.
_LEAST_REST = 0.05


class _Block(nn.Module):
    """Residual layer whose normalisation is shifted and scaled by the condition (adaptive layer norm)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_WIDTH, elementwise_affine=False)
        self.modulation = nn.Linear(_CONDITION, 2 * _WIDTH)
        self.first = nn.Linear(_WIDTH, _WIDTH)
        self.second = nn.Linear(_WIDTH, _WIDTH)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.modulation(condition).chunk(2, -1)
        hidden = self.norm(x) * (1 + scale) + shift
        return x + self.second(nn.functional.silu(self.first(hidden)))


class FlowNetwork(nn.Module):
    """Estimates the clean coefficients from noisy ones, the time and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(COEFFICIENTS, _WIDTH)
        self.embedding = nn.Linear(EMBEDDING, _CONDITION)
        self.time = nn.Linear(2 * _FREQUENCIES, _CONDITION)
        self.mix = nn.Linear(_CONDITION, _CONDITION)
        self.blocks = nn.ModuleList(_Block() for _ in range(_BLOCKS))
        self.leave = nn.Linear(_WIDTH, COEFFICIENTS)

    def forward(self, x: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """x: (B, 512); time: (B,) in [0, 1], 0 is noise; embedding: (B, 384) unit, or zeros for none -> (B, 512)."""
        steps = torch.arange(_FREQUENCIES, device=x.device, dtype=torch.float32)
        angles = time[:, None].float() * torch.exp(steps * (math.log(1000.0) / _FREQUENCIES))
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        # A unit vector's entries are about 0.05: brought to about 1, as the other inputs are.
        condition = self.embedding(embedding * math.sqrt(EMBEDDING)) + self.time(waves)
        condition = nn.functional.silu(self.mix(nn.functional.silu(condition)))
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.leave(nn.functional.silu(hidden))


def velocity_scale(time: Tensor) -> Tensor:
    """1 / (1 - t), bounded: what an error of the estimate becomes in the velocity."""
    return 1 / (1 - time).clamp_min(_LEAST_REST)


class Codec(nn.Module):
    """Coefficients to pixels: mean + coefficients x basis, then a residual by small convolutions."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3 * SIDE * SIDE))
        self.register_buffer("basis", torch.zeros(COEFFICIENTS, 3 * SIDE * SIDE))
        self.register_buffer("scale", torch.ones(COEFFICIENTS))
        # Work on 4x4 blocks of pixels: a sixteenth of the positions, a wide view for a small network.
        self.enter = nn.Conv2d(48, channels, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(6))
        self.leave = nn.Conv2d(channels, 48, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def encode(self, pictures: Tensor) -> Tensor:
        """(B, 3, 64, 64) in [-1, 1] -> (B, 512)."""
        return (pictures.flatten(1) - self.mean) @ self.basis.T / self.scale

    def linear(self, coefficients: Tensor) -> Tensor:
        """(B, 512) -> (B, 3, 64, 64), without the convolutions."""
        return ((coefficients * self.scale) @ self.basis + self.mean).unflatten(1, (3, SIDE, SIDE))

    def forward(self, coefficients: Tensor) -> Tensor:
        """(B, 512) -> (B, 3, 64, 64), about [-1, 1]."""
        rough = self.linear(coefficients)
        hidden = self.enter(nn.functional.pixel_unshuffle(rough, 4))
        for first, second in zip(self.body[::2], self.body[1::2]):
            hidden = hidden + second(nn.functional.silu(first(nn.functional.silu(hidden))))
        return rough + nn.functional.pixel_shuffle(self.leave(nn.functional.silu(hidden)), 4)


@torch.inference_mode()
def sample(
    network: FlowNetwork,
    noise: Tensor,
    embedding: Tensor,
    steps: int,
    *,
    guidance: float = 2.0,
    negative: Tensor | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Follow the flow from `noise` (B, 512) to coefficients (B, 512) in `steps` Euler steps.

    embedding: (B, 384). guidance 1: the embedding alone; above, away from `negative` (384,) or from no embedding
    (classifier-free guidance, Ho & Salimans 2022). progress: called with 1, 2, ... after each step.
    """
    x, count = noise, len(noise)
    away = torch.zeros_like(embedding) if negative is None else negative.expand_as(embedding)
    for step in range(steps):
        time = torch.full((2 * count,), step / steps)
        wanted, unwanted = network(torch.cat([x, x]), time, torch.cat([embedding, away])).chunk(2)
        estimate = unwanted + guidance * (wanted - unwanted)
        x = x + (estimate - x) * velocity_scale(time[:1]) / steps
        if progress:
            progress(step + 1)
    return x
