"""The gradient of a large batch in the memory of a small one (Gao et al. 2021, "Scaling Deep Contrastive Learning
Batch Size under Memory Limited Setup").

1. Embed the batch chunk by chunk without a graph. 2. Loss over all embeddings, and its gradient with respect to
them. 3. Embed each chunk again, now with a graph, and pass its rows of that gradient on into the tower.
Dropout has to fall the same in 1 and 3: each chunk starts from a seed of its own both times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from imagebind_node.binding.distributed import Group

Loss = Callable[[Tensor, Tensor], Tensor]
Tower = Callable[[Tensor], Tensor]


def backward(
    tower: Tower,
    loss: Loss,
    inputs: Tensor,
    anchors: Tensor,
    *,
    chunk: int,
    seeds: Sequence[int],
    group: Group,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    weight: float = 1.0,
    scale: float = 1.0,
    sync: bool = True,
) -> Tensor:
    """Add the gradient of `weight * loss` over the whole batch, of all processes, to the tower's parameters.

    inputs: (B, ...) of this process; anchors: (B, D); chunk: rows at a time, >= B for a single pass with a graph.
    seeds: one integer for each chunk, for its random numbers. scale: factor on all gradients against underflow of
    fp16. sync: whether DistributedDataParallel averages after the last chunk. Returns the loss, detached.
    """
    parts = inputs.split(chunk)
    plain = tower.module if isinstance(tower, DistributedDataParallel) else tower
    if len(parts) == 1:
        with _averaging(tower, sync):
            graph = _embed(tower, inputs, seeds[0], autocast)
        embedded = graph.detach()
    else:
        with torch.no_grad():
            embedded = torch.cat([_embed(plain, part, seed, autocast) for seed, part in zip(seeds, parts)])
    leaf = embedded.float().requires_grad_()
    value = loss(group.gather(leaf), group.gather(anchors))
    (value * weight * scale).backward()
    assert leaf.grad is not None
    # DistributedDataParallel takes the mean over processes; the gradient of the whole batch is the sum.
    gradient = (leaf.grad * group.world).to(embedded.dtype)
    if len(parts) == 1:
        with _averaging(tower, sync):
            graph.backward(gradient)
        return value.detach()
    for place, (seed, part, rows) in enumerate(zip(seeds, parts, gradient.split(chunk))):
        with _averaging(tower, sync and place == len(parts) - 1):
            _embed(tower, part, seed, autocast).backward(rows)
    return value.detach()


def _averaging(tower: Tower, wanted: bool) -> AbstractContextManager:
    """Whether DistributedDataParallel averages the gradients of this pass; it looks at both of its halves."""
    return nullcontext() if wanted or not isinstance(tower, DistributedDataParallel) else tower.no_sync()


def _embed(
    tower: Tower,
    part: Tensor,
    seed: int,
    autocast: Callable[[], AbstractContextManager],
) -> Tensor:
    devices = [part.device] if part.device.type == "cuda" else []
    with torch.random.fork_rng(devices), autocast():
        torch.manual_seed(seed)
        return tower(part)
