"""Pre-norm transformer trunk. Only the one token that the head reads goes through the whole last block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imagebind_node.encoders.imagebind.attention import Attention
from imagebind_node.encoders.imagebind.config import TowerConfig
from imagebind_node.encoders.imagebind.token_merging import MergeState

EPSILON = 1e-6


class FeedForward(nn.Module):
    """Two layers with exact GELU between, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(tokens)))


class Block(nn.Module):
    """Attention and feed-forward layers, each on normalised tokens and added to its input."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.causal = config.causal
        self.attn = Attention(config.width, config.heads, config.bias_kv)
        self.norm_1 = nn.LayerNorm(config.width, eps=EPSILON)
        self.mlp = FeedForward(config.width)
        self.norm_2 = nn.LayerNorm(config.width, eps=EPSILON)

    def forward(self, tokens: Tensor, merge: MergeState | None = None) -> Tensor:
        query, key, value = self.attn.project(self.norm_1(tokens))
        mask = None if merge is None else merge.mask(tokens, self.attn.bias_k is not None)
        tokens = tokens + self.attn.attend(query, key, value, mask, self.causal)
        if merge is not None:
            tokens = merge.merge(tokens, key)
        return tokens + self.mlp(self.norm_2(tokens))

    def forward_one(self, tokens: Tensor, index: Tensor | None, merge: MergeState | None = None) -> Tensor:
        """As `forward`, but only for token `index` of each row (None: the first); returns (B, 1, width)."""
        query, key, value = self.attn.project(self.norm_1(tokens))
        mask = None if merge is None else merge.mask(tokens, self.attn.bias_k is not None)
        if index is None:
            query, chosen = query[:, :, :1], tokens[:, :1]
        else:
            rows = torch.arange(tokens.shape[0], device=tokens.device)
            query, chosen = query[rows, :, index].unsqueeze(2), tokens[rows, index].unsqueeze(1)
            if self.causal:
                later = torch.arange(tokens.shape[1], device=tokens.device) > index[:, None]
                mask = torch.zeros(later.shape, dtype=query.dtype, device=query.device)
                mask = mask.masked_fill(later, float("-inf"))[:, None, None]
        chosen = chosen + self.attn.attend(query, key, value, mask)
        return chosen + self.mlp(self.norm_2(chosen))


class Trunk(nn.Module):
    """All blocks of a tower. Input and full output: tokens (B, L, width)."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        norm = nn.LayerNorm(config.width, eps=EPSILON) if config.norm_trunk else nn.Identity()
        self.pre_transformer_layer = nn.Sequential(norm)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))

    def forward(self, tokens: Tensor) -> Tensor:
        """Every token after the last block."""
        tokens = self.pre_transformer_layer(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def forward_one(self, tokens: Tensor, index: Tensor | None = None, merged: int = 0) -> Tensor:
        """Token `index` of each row (None: the first) after the last block, (B, 1, width).

        `merged`: tokens to merge away in each block (ToMe); 0 computes exactly the full forward's token.
        """
        tokens = self.pre_transformer_layer(tokens)
        merge = MergeState(merged) if merged else None
        for block in self.blocks[:-1]:
            tokens = block(tokens, merge)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return last.forward_one(tokens, index, merge)
