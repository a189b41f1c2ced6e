"""ImageBind's network: stems, trunks, heads and output scales of the towers that were asked for.

Written from the paper (Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR 2023). Names and
shapes of parameters are those of the official state dict, except that `attn.in_proj_weight` and `attn.in_proj_bias`
live in a Linear layer here (`attn.in_proj.weight`); `official_name` maps one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.encoders.imagebind.config import ImageBindConfig, TowerConfig
from imagebind_node.encoders.imagebind.stems import build_stem
from imagebind_node.encoders.imagebind.transformer import EPSILON, Trunk
from imagebind_node.errors import UnsupportedModalityError
from imagebind_node.samples import Modality

MAX_LOGIT_SCALE = 100.0


class Head(nn.Module):
    """LayerNorm and a projection without bias into the shared space."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.project = nn.Linear(width, dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.project(self.norm(tokens))


class Tower(nn.Module):
    """One modality from model input to the shared space."""

    def __init__(self, modality: Modality, config: TowerConfig, dim: int, frames: int) -> None:
        super().__init__()
        self.modality = modality
        self.config = config
        self.token_merging = 0
        self.trim_text = True
        self.preprocessor = build_stem(modality, config, frames)
        self.trunk = Trunk(config)
        self.head = Head(config.width, dim)
        # Vision's output is not scaled, so the official checkpoint holds no scale for it.
        self.log_logit_scale = nn.Parameter(torch.empty([])) if modality is not Modality.VISION else None

    @property
    def dtype(self) -> torch.dtype:
        """Type of the activations; inputs are converted to it."""
        return self.head.norm.weight.dtype

    def forward(self, batch: Tensor) -> Tensor:
        """Unnormalised embeddings, float32 (B, dim). `batch` as the stem of the modality wants it."""
        index = None
        if self.modality is Modality.TEXT:
            # End of text has the highest number. Tokens after it cannot be seen by it (causal attention).
            index = batch.argmax(dim=-1)
            if self.trim_text:
                batch = batch[:, : int(index.max()) + 1]
        else:
            batch = batch.to(self.dtype)
        tokens = self.preprocessor(batch)
        token = self.trunk.forward_one(tokens, index, self.token_merging)
        return self.head(token).squeeze(1).float()

    def scale(self) -> Tensor:
        """Factor on the normalised output: learnt for text, fixed in training for the others, 1 for vision."""
        if self.log_logit_scale is None:
            return torch.ones(())
        return self.log_logit_scale.float().exp().clamp(max=MAX_LOGIT_SCALE)


class ImageBind(nn.Module):
    """The asked-for towers. Clips of one sample are embedded one by one and averaged, as in the original."""

    def __init__(self, config: ImageBindConfig, modalities: Iterable[Modality]) -> None:
        super().__init__()
        self.config = config
        wanted = [modality for modality in Modality if modality in set(modalities)]
        self.towers = nn.ModuleDict(
            {m.value: Tower(m, config.towers[m], config.dim, config.frames) for m in wanted}
        )

    def tower(self, modality: Modality) -> Tower:
        """The tower of `modality`; raises UnsupportedModalityError if it was not loaded."""
        if modality.value not in self.towers:
            raise UnsupportedModalityError(f"the ImageBind {modality} tower is not loaded")
        tower = self.towers[modality.value]
        assert isinstance(tower, Tower)
        return tower

    def forward(self, modality: Modality, batch: Tensor) -> Tensor:
        """The original's output: normalised, scaled, averaged over clips. Returns float32 (B, dim).

        batch: (B, ...) as the stem wants it, or (B, clips, ...) for several clips of each sample.
        """
        tower = self.tower(modality)
        clips = _clips(modality, batch)
        if clips is None:
            return F.normalize(tower(batch), dim=-1) * tower.scale()
        vectors = F.normalize(tower(batch.flatten(0, 1)), dim=-1) * tower.scale()
        return vectors.view(len(batch), clips, -1).mean(1)

    def embed(self, modality: Modality, batch: Tensor) -> Tensor:
        """The direction alone: `forward` without its scale, L2-normalised, float32 (B, dim)."""
        return F.normalize(self(modality, batch), dim=-1)


def _clips(modality: Modality, batch: Tensor) -> int | None:
    """Number of clips a sample, None if the batch has no such dimension."""
    if modality is Modality.VISION:
        stills = batch.ndim == 5 and batch.shape[2] == 3 and batch.shape[3] > 3
        return batch.shape[1] if batch.ndim == 6 or stills else None
    return batch.shape[1] if modality is Modality.AUDIO and batch.ndim == 5 else None


def official_name(modality: Modality, name: str) -> str:
    """Name in the official state dict of parameter `name` of a Tower."""
    part, _, rest = name.partition(".")
    if part == "log_logit_scale":
        return f"modality_postprocessors.{modality}.1.log_logit_scale"
    if part == "head":
        layer, _, kind = rest.partition(".")
        # Between norm and projection the original has layers without parameters: a selection, for IMU a dropout.
        place = {Modality.TEXT: 1, Modality.IMU: 3}.get(modality, 2) if layer == "project" else 0
        inner = "proj." if modality is Modality.TEXT else ""
        return f"modality_heads.{modality}.{inner}{place}.{kind}"
    rest = rest.replace(".attn.in_proj.", ".attn.in_proj_")
    return f"modality_{part}s.{modality}.{rest}"
