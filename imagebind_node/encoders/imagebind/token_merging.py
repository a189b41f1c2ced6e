"""Token merging (Bolya et al. 2023, "Token Merging: Your ViT But Faster"): an approximation that trades accuracy
for speed. In every block the `count` most similar pairs of tokens become one, weighted by how many patches each
already stands for; attention is told these sizes so that a merged token counts as many."""

from __future__ import annotations

import torch
from torch import Tensor


class MergeState:
    """Sizes of the tokens of one batch while it passes through a trunk. The first token is never merged."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.sizes: Tensor | None = None

    def mask(self, tokens: Tensor, extra_key: bool) -> Tensor | None:
        """What to add to attention scores: the logarithm of each key's size, (B, 1, 1, keys)."""
        if self.sizes is None:
            return None
        sizes = self.sizes.log()
        if extra_key:
            sizes = torch.cat((sizes, sizes.new_zeros(len(sizes), 1)), dim=1)
        return sizes.to(tokens.dtype)[:, None, None]

    def merge(self, tokens: Tensor, key: Tensor) -> Tensor:
        """Merge pairs by the similarity of their attention keys (B, heads, L, d); returns (B, L - count, width)."""
        batch, length, width = tokens.shape
        count = min(self.count, (length - 1) // 2)
        if count <= 0:
            return tokens
        sizes = tokens.new_ones(batch, length, dtype=torch.float32) if self.sizes is None else self.sizes
        metric = torch.nn.functional.normalize(key.float().mean(1), dim=-1)
        scores = metric[:, ::2] @ metric[:, 1::2].transpose(-1, -2)
        # Even places hold the class token first: it must neither be merged away nor take others in.
        scores[:, 0] = -torch.inf
        best, partner = scores.max(dim=-1)
        order = best.argsort(dim=-1, descending=True)
        gone, kept = order[:, :count], order[:, count:].sort(dim=-1).values
        partner = partner.gather(1, gone)

        weighted = tokens.float() * sizes[..., None]
        even, odd = weighted[:, ::2], weighted[:, 1::2].clone()
        even_sizes, odd_sizes = sizes[:, ::2], sizes[:, 1::2].clone()
        odd.scatter_add_(1, partner[..., None].expand(-1, -1, width), _rows(even, gone))
        odd_sizes.scatter_add_(1, partner, even_sizes.gather(1, gone))
        total = torch.cat((_rows(even, kept), odd), dim=1)
        self.sizes = torch.cat((even_sizes.gather(1, kept), odd_sizes), dim=1)
        return (total / self.sizes[..., None]).to(tokens.dtype)


def _rows(tokens: Tensor, index: Tensor) -> Tensor:
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))
