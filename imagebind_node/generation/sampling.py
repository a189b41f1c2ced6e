"""Follow the flow from noise to pictures, towards an embedding and, where asked, by what a judge sees in them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from imagebind_node.generation.flow import SIDE, PictureFlow

Look = Callable[[Tensor], Tensor]
"""Pictures (B, 3, S, S), -1 to 1, to unit embeddings (B, 384), differentiable."""

# Judged only between these times: before, the estimate is a blur that no network can recognise; after, nothing
# would smooth the pixels that the gradient roughens.
_JUDGED = (0.2, 0.75)
# Until then the training pictures say what is drawn, afterwards the network.
_RECALLED_UNTIL = 0.3
# What a picture shows is decided while there is much noise, so the steps are closer there (Esser et al. 2024).
_SHIFT = 4.0
_NEAREST_NORM = 1e-8


class Judge:
    """Pulls estimates towards an embedding along the gradient of the cosine, as CLIP-guided diffusion does.

    After Dhariwal and Nichol 2021 (classifier guidance) and Crowson 2021 (CLIP-guided diffusion: random cut-outs of
    the estimated clean picture, so that the picture and not its exact pixels fits). `strength`: length of the pull
    on the estimate in each step, in units of its root mean square pixel; 0: none.
    """

    def __init__(self, look: Look, side: int, *, strength: float, views: int) -> None:
        """look: at pictures of `side` pixels; views: cut-outs a step."""
        self._look, self._side = look, side
        self.strength, self._views = strength, views

    def pull(self, estimate: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
        """What to add to estimates (B, 3, 64, 64) so that they look more like `wanted` (B, 384)."""
        with torch.enable_grad():
            pictures = estimate.detach().clamp(-1, 1).requires_grad_()
            cosine = torch.stack(
                [(self._look(self._view(pictures, generator)) * wanted).sum(-1) for _ in range(self._views)]
            )
            (gradient,) = torch.autograd.grad(cosine.mean(0).sum(), pictures)
        norm = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        size = estimate.square().mean((1, 2, 3), keepdim=True).sqrt()
        return self.strength * size * gradient / norm.clamp_min(_NEAREST_NORM)

    def _view(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """A random cut-out of at least 3/4 of the side, on white where it sticks out, mirrored half of the time."""
        scale, dx, dy, mirrored = torch.rand(4, generator=generator).tolist()
        extent = 0.75 + 0.4 * scale
        slack = abs(1 - extent)
        theta = torch.tensor(
            [
                [extent * (-1 if mirrored < 0.5 else 1), 0.0, slack * (2 * dx - 1)],
                [0.0, extent, slack * (2 * dy - 1)],
            ]
        )
        grid = F.affine_grid(
            theta.expand(len(pictures), 2, 3), [len(pictures), 3, self._side, self._side], align_corners=False
        )
        # White is 1: shifted by it, what lies outside is 0.
        return (
            F.grid_sample(pictures - 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + 1
        )


@torch.no_grad()
def sample(
    flow: PictureFlow,
    noise: Tensor,
    embedding: Tensor,
    steps: int,
    *,
    guidance: float,
    negative: Tensor | None = None,
    judge: Judge | None = None,
    generator: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Follow the flow from `noise` (B, 3, 64, 64) to pictures (B, 3, 64, 64), -1 to 1, in `steps` Euler steps.

    embedding: (B, 384). negative (384,): what is not wanted. guidance 1: the network follows the embedding alone;
    above, away from `negative` or from no embedding (classifier-free guidance, Ho and Salimans 2022). generator: draws
    the judge's views. progress: called with 1, 2, ... after each step; what it raises ends the sampling.
    """
    x, count = noise, len(noise)
    away = torch.zeros_like(embedding) if negative is None else negative.expand_as(embedding)
    for step in range(steps):
        moment, following = (_moment(done / steps) for done in (step, step + 1))
        if moment < _RECALLED_UNTIL:
            estimate = flow.recalled(x, torch.full((count,), moment), embedding, away)
        elif guidance == 1.0:
            estimate = flow(x, torch.full((count,), moment), embedding)
        else:
            time = torch.full((2 * count,), moment)
            wanted, unwanted = flow(torch.cat([x, x]), time, torch.cat([embedding, away])).chunk(2)
            estimate = unwanted + guidance * (wanted - unwanted)
        if judge is not None and _JUDGED[0] <= moment < _JUDGED[1]:
            estimate = estimate + judge.pull(estimate, embedding, generator)
        # The estimate leaves the range of pictures where guidance is strong.
        estimate = estimate.clamp(-1, 1)
        x = x + (estimate - x) * ((following - moment) / (1 - moment))
        if progress is not None:
            progress(step + 1)
    return x


def best(look: Look, pictures: Tensor, wanted: Tensor) -> int:
    """Which of several pictures (N, 3, 64, 64) a judge likes best (reranking, Ramesh et al. 2021)."""
    with torch.no_grad():
        looked = look(F.interpolate(pictures.clamp(-1, 1), size=224, mode="bilinear"))
    return int((looked @ wanted).argmax())


def _moment(share: float) -> float:
    """Time after a share of the steps, both 0 to 1."""
    return share / (share + _SHIFT * (1 - share))


def noise_for(count: int, generator: torch.Generator) -> Tensor:
    """(count, 3, 64, 64) standard normal."""
    return torch.randn(count, 3, SIDE, SIDE, generator=generator)
