"""What pulls a new sense into a frozen space: InfoNCE in both directions, and likeness to a teacher."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.errors import InvalidInputError

MAX_LOGIT_SCALE = 100.0
"""Bound of the learnt 1 / temperature, as CLIP's (Radford et al. 2021)."""


def info_nce(embeddings: Tensor, anchors: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE (ImageBind, section 3.1): every other row of the batch is a negative, in both directions.

    embeddings, anchors: float (B, D), unit rows; row i of one belongs to row i of the other. logit_scale:
    1 / temperature. Returns the mean of the two directions (the paper writes their sum; CLIP and this take half).
    """
    logits = logit_scale * embeddings @ anchors.T
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


class BindingLoss(nn.Module):
    """Weighted sum of InfoNCE and of 1 - cosine to the anchor of the same row.

    contrastive: weight of InfoNCE, for binding. cosine: weight of 1 - cosine, for distillation; the squared error
    of unit vectors is twice that, so there is no term of its own for it. temperature: of InfoNCE, above 0, fixed
    unless `learn_temperature`. One modality is bound at a time, so every modality has a temperature of its own.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        *,
        learn_temperature: bool = False,
        contrastive: float = 1.0,
        cosine: float = 0.0,
    ) -> None:
        super().__init__()
        if not temperature > 0 or not math.isfinite(temperature):
            raise InvalidInputError(f"temperature must be above 0, got {temperature}")
        if min(contrastive, cosine) < 0 or contrastive + cosine <= 0:
            raise InvalidInputError("the weights of the loss must not be negative, and one must be above 0")
        self.contrastive, self.cosine = contrastive, cosine
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learn_temperature)

    @property
    def temperature(self) -> float:
        """The temperature in use."""
        return 1 / float(self.scale().detach())

    def scale(self) -> Tensor:
        """1 / temperature; a learnt one stays below 100."""
        scale = self.log_scale.exp()
        return scale.clamp(max=MAX_LOGIT_SCALE) if self.log_scale.requires_grad else scale

    def forward(self, embeddings: Tensor, anchors: Tensor) -> Tensor:
        """embeddings: (B, D) of any length; anchors: (B, D) unit. Computed in float32 (float64 stays)."""
        unit = F.normalize(embeddings if embeddings.dtype is torch.float64 else embeddings.float(), dim=-1)
        anchors = anchors.to(unit)
        total = unit.new_zeros(())
        if self.contrastive:
            total = total + self.contrastive * info_nce(unit, anchors, self.scale())
        if self.cosine:
            total = total + self.cosine * (1 - (unit * anchors).sum(-1)).mean()
        return total
