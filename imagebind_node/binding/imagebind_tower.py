"""ImageBind's own towers for audio, depth, thermal and IMU, made to be trained: initial weights, stochastic depth.

Names and shapes of parameters are those of `encoders.imagebind.model.Tower`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.binding.towers import register_tower
from imagebind_node.encoders.imagebind.config import HUGE, TowerConfig
from imagebind_node.encoders.imagebind.model import Tower
from imagebind_node.encoders.imagebind.token_merging import MergeState
from imagebind_node.encoders.imagebind.transformer import Block
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality, parse_modality

TRAINABLE = (Modality.AUDIO, Modality.DEPTH, Modality.THERMAL, Modality.IMU)
_SPREAD = 0.02


class _StochasticBlock(Block):
    """A block whose branches are left out for a random part of the rows (Huang et al. 2016)."""

    def __init__(self, config: TowerConfig, rate: float) -> None:
        super().__init__(config)
        self.rate = rate

    def _keep(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.rate
        return branch * kept / (1 - self.rate)

    def forward(self, tokens: Tensor, merge: MergeState | None = None) -> Tensor:
        query, key, value = self.attn.project(self.norm_1(tokens))
        tokens = tokens + self._keep(self.attn.attend(query, key, value))
        return tokens + self._keep(self.mlp(self.norm_2(tokens)))

    def forward_one(self, tokens: Tensor, index: Tensor | None, merge: MergeState | None = None) -> Tensor:
        query, key, value = self.attn.project(self.norm_1(tokens))
        chosen = tokens[:, :1] + self._keep(self.attn.attend(query[:, :, :1], key, value))
        return chosen + self._keep(self.mlp(self.norm_2(chosen)))


class TrainableTower(nn.Module):
    """One of ImageBind's towers; clips (B, S, ...) are embedded one by one and averaged."""

    def __init__(self, modality: Modality, config: TowerConfig, dim: int, drop_path: float) -> None:
        super().__init__()
        self.tower = Tower(modality, config, dim, HUGE.frames)
        # The output scale is a constant of the original's training; the temperature of the loss stands for it here.
        self.tower.log_logit_scale = None
        rates = torch.linspace(0, drop_path, config.blocks).tolist()
        self.tower.trunk.blocks = nn.ModuleList(_StochasticBlock(config, rate) for rate in rates)
        # The original has a dropout of one half before the projection of IMU, and of IMU only.
        self.dropout = nn.Dropout(0.5 if modality is Modality.IMU else 0.0)
        self._ndim = 3 if modality is Modality.IMU else 4
        self.apply(_initialise)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 3:  # positions, class token, learnt key and value
                nn.init.trunc_normal_(parameter, std=_SPREAD)
            elif name.endswith("project.weight"):
                nn.init.normal_(parameter, std=config.width**-0.5)

    def forward(self, batch: Tensor) -> Tensor:
        clips = batch.shape[1] if batch.ndim == self._ndim + 1 else 0
        tokens = self.tower.preprocessor(batch.flatten(0, 1) if clips else batch)
        token = self.tower.trunk.forward_one(tokens)
        head = self.tower.head
        rows = head.project(self.dropout(head.norm(token))).squeeze(1)
        return F.normalize(rows, dim=-1).unflatten(0, (-1, clips)).mean(1) if clips else rows


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_SPREAD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@register_tower("imagebind")
def imagebind(
    dim: int,
    modality: str = "audio",
    width: int | None = None,
    blocks: int | None = None,
    heads: int | None = None,
    drop_path: float = 0.0,
) -> nn.Module:
    """Stem and trunk of ImageBind huge's tower of `modality`, or a smaller one by width, blocks and heads.

    Inputs: audio (B, 1, 128, 204) or clips (B, S, 1, 128, 204); depth, thermal (B, 1, 224, 224); imu (B, 6, 2000).
    drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first.
    """
    known = parse_modality(modality)
    if known not in TRAINABLE:
        raise InvalidInputError(f"the {modality} tower is frozen: bind {', '.join(map(str, TRAINABLE))}")
    if not 0 <= drop_path < 1:
        raise InvalidInputError(f"drop_path must be from 0 to below 1, got {drop_path}")
    config = HUGE.towers[known]
    config = replace(
        config, width=width or config.width, blocks=blocks or config.blocks, heads=heads or config.heads
    )
    if min(config.width, config.blocks, config.heads) < 1 or config.width % config.heads:
        raise InvalidInputError(f"width {config.width} is not a multiple of {config.heads} heads")
    return TrainableTower(known, config, dim, drop_path)
