"""all-MiniLM-L6-v2: a 6-layer BERT that embeds a sentence as the mean of its token states (Wang et al. 2020,
Reimers and Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 384
LAYERS = 6
HEADS = 12
VOCABULARY = 30522
POSITIONS = 512
MAX_TOKENS = 256
NORM_EPS = 1e-12


class Layer(nn.Module):
    """Post-norm transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, NORM_EPS)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, NORM_EPS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).reshape(x.shape)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class MiniLM(nn.Module):
    """Token ids (B, T) and attention mask (B, T) -> (B, 384) unit vectors."""

    def __init__(self) -> None:
        super().__init__()
        # From tensors: made by their size, they would be filled with random numbers, for which PyTorch imports its
        # compiler if they have no storage yet (0.6 s, 60 MB).
        self.words = nn.Embedding.from_pretrained(torch.empty(VOCABULARY, WIDTH))
        self.positions = nn.Embedding.from_pretrained(torch.empty(POSITIONS, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, NORM_EPS)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(self.words(tokens) + self.positions.weight[: tokens.shape[1]])
        allowed = mask.bool()[:, None, None, :]
        for layer in self.layers:
            x = layer(x, allowed)
        weight = mask.unsqueeze(-1).to(x.dtype)
        return F.normalize((x * weight).sum(1) / weight.sum(1), dim=-1)


def load_tokenizer(path: Path) -> Tokenizer:
    """WordPiece tokenizer of the model, cut at 256 tokens, without padding."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Texts -> int64 (B, T) token ids, padded at the end with 0, which no text contains."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    tokens = torch.zeros(len(encoded), max(map(len, encoded)), dtype=torch.int64)
    for row, ids in zip(tokens, encoded):
        row[: len(ids)] = torch.tensor(ids)
    return tokens
