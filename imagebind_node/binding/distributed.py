"""Several processes that train one tower: torchrun starts them, here they exchange embeddings and gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from imagebind_node.errors import InvalidInputError


@dataclass(frozen=True)
class Group:
    """rank of this process among `world` that train together."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (B, D) of all processes in the order of their ranks, (world x B, D).

        This process's own rows keep their gradient. When each process computes the loss over all rows, that
        gradient is complete, and summed over the processes it is the one of a single process with the whole batch.
        """
        if self.world == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.world)]
        dist.all_gather(parts, rows.detach().contiguous())
        parts[self.rank] = rows
        return torch.cat(parts)

    def barrier(self) -> None:
        """Wait for the others."""
        if self.world > 1:
            dist.barrier()


def current_group() -> Group:
    """The processes of an initialised torch.distributed, else this one alone."""
    if dist.is_available() and dist.is_initialized():
        return Group(dist.get_rank(), dist.get_world_size())
    return Group()


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started (its environment tells); without torchrun, this process alone.

    NCCL on CUDA, Gloo on CPUs. Raises InvalidInputError if torchrun's variables are incomplete.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield current_group()
        return
    try:
        # The others wait while one embeds all anchors, for hours if need be; torchrun ends them should it fail.
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=timedelta(days=1))
    except (ValueError, RuntimeError) as error:
        raise InvalidInputError(f"cannot join the processes of torchrun: {error}") from None
    try:
        yield current_group()
    finally:
        dist.destroy_process_group()
