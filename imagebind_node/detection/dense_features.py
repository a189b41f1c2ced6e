"""Patch embeddings out of ImageBind's vision tower, in the same pass as the picture's own embedding.

A contrastive ViT learns only what its class token says; the last block mixes what patches know about
themselves with what the picture is about. The methods below change how the last block treats the patches,
without training:

- clearclip: query-query attention, no residual, no feed-forward layer (Lan et al., "ClearCLIP", ECCV 2024)
- maskclip: each patch keeps its own value (Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022)
- sclip: query-query plus key-key attention, residual and feed-forward layer kept (Wang et al., "SCLIP", ECCV
2024)
- naclip: key-key attention with a Gaussian bonus for neighbours, no residual, no feed-forward layer (Hajimiri
et
  al., "Pay Attention to Your Neighbours", WACV 2025)
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from imagebind_node.encoders.imagebind.model import Tower
from imagebind_node.encoders.imagebind.stems import VisionStem
from imagebind_node.encoders.imagebind.transformer import Block
from imagebind_node.errors import InvalidInputError

METHODS = ("clearclip", "maskclip", "sclip", "naclip")
NEIGHBOUR_DEVIATION = 5.0  # of the Gaussian of naclip, in patches


def embed_densely(tower: Tower, batch: Tensor, method: str = "clearclip") -> tuple[Tensor, Tensor]:
    """One pass: picture embeddings, float32 (B, dim), and patch embeddings, float32 (B, rows, columns, dim), unit.

    batch: normalised pictures (B, 3, H, W), H and W multiples of the patch. At the size that the tower was
    trained on the picture embedding is bit for bit that of the encoder; at another its position embeddings
    are interpolated. Raises InvalidInputError for an unknown method, other sizes, or a tower that merges
    tokens.
    """
    if method not in METHODS:
        raise InvalidInputError(f"unknown dense method {method!r}: use one of {', '.join(METHODS)}")
    if tower.token_merging:
        raise InvalidInputError("dense detection needs every patch: turn token merging off")
    stem = tower.preprocessor
    assert isinstance(stem, VisionStem)
    batch = batch.to(tower.dtype)
    tokens, grid = vision_tokens(stem, batch)
    tokens = tower.trunk.pre_transformer_layer(tokens)
    *earlier, last = tower.trunk.blocks
    for block in earlier:
        tokens = block(tokens)
    assert isinstance(last, Block)
    whole = tower.head(last.forward_one(tokens, None)).squeeze(1).float()
    # The encoder normalises, scales and normalises again; the scale of vision is 1.
    whole = F.normalize(F.normalize(whole, dim=-1) * tower.scale().to(whole.device), dim=-1)
    patches = tower.head(_last_block(last, tokens, method, grid)[:, 1:]).float()
    return whole, F.normalize(patches, dim=-1).unflatten(1, grid)


def vision_tokens(stem: VisionStem, batch: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Class token and patch tokens with their position embeddings, and the grid (rows, columns)."""
    project = stem.rgbt_stem.proj["1"]
    assert isinstance(project.weight, Tensor)
    patch = int(project.weight.shape[-1])
    height, width = batch.shape[-2:]
    if batch.ndim != 4 or height % patch or width % patch or not height or not width:
        raise InvalidInputError(
            f"dense input must be (B, 3, H, W) with sides that are multiples of {patch}, got {tuple(batch.shape)}"
        )
    grid = (height // patch, width // patch)
    if grid == stem.grid:
        return stem(batch), grid
    tokens = project(batch)
    tokens = torch.cat((stem.cls_token.expand(len(tokens), -1, -1), tokens), dim=1)
    positions = stem.pos_embedding_helper.pos_embed
    return tokens + interpolate_positions(positions, stem.grid, grid), grid


def interpolate_positions(positions: Tensor, trained: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Position embeddings (1, 1 + P, width) of a trained grid, bicubically for another; the first stays."""
    first, patches = positions[:, :1], positions[:, 1:]
    planes = patches.unflatten(1, trained).permute(0, 3, 1, 2).float()
    planes = F.interpolate(planes, size=grid, mode="bicubic", align_corners=False)
    patches = planes.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)
    return torch.cat((first, patches), dim=1)


def _last_block(block: Block, tokens: Tensor, method: str, grid: tuple[int, int]) -> Tensor:
    """The changed last block, (B, 1 + P, width); only its patch tokens mean anything."""
    attention = block.attn
    query, key, value = attention.project(block.norm_1(tokens))
    if method == "maskclip":
        return attention.out_proj(value.transpose(1, 2).flatten(2))
    if method == "naclip":
        return attention.attend(key, key, value, neighbour_bonus(grid).to(key))
    if method == "clearclip":
        return attention.attend(query, query, value)
    mixed = F.scaled_dot_product_attention(query, query, value)
    mixed = mixed + F.scaled_dot_product_attention(key, key, value)
    tokens = tokens + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return tokens + block.mlp(block.norm_2(tokens))


@lru_cache(maxsize=8)
def neighbour_bonus(grid: tuple[int, int]) -> Tensor:
    """What naclip adds to attention scores: (1 + P, 1 + P), a Gaussian of the distance, 0 for the class token."""
    rows, columns = grid
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    squares = torch.cdist(places, places) ** 2
    bonus = torch.zeros(1 + rows * columns, 1 + rows * columns)
    bonus[1:, 1:] = torch.exp(-squares / (2 * NEIGHBOUR_DEVIATION**2))
    return bonus
