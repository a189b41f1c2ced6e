"""The batches of a training, each by its number: rows, augmented, stacked, for one of the processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from imagebind_node.binding.augmentations import Change
from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.schedule import Schedule
from imagebind_node.errors import InvalidInputError


def seed_of(*numbers: int) -> int:
    """One 63-bit seed from several numbers, well mixed (the finaliser of SplitMix64, Steele et al. 2014)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


class Batches(Dataset):
    """Item k: (inputs (B, ...), anchors (B, D)) of batch k for the process `rank`."""

    def __init__(self, pairs: Pairs, schedule: Schedule, change: Change | None, rank: int) -> None:
        self._pairs, self._schedule, self._change, self._rank = pairs, schedule, change, rank

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rows = self._schedule.indices(number, self._rank)
        first = number * self._schedule.batch + self._rank * len(rows)
        inputs, anchors = zip(*[self._drawn(int(row), first + place) for place, row in enumerate(rows)])
        try:
            stacked = torch.stack(inputs)
        except RuntimeError:
            shapes = sorted({tuple(tensor.shape) for tensor in inputs})
            raise InvalidInputError(f"inputs of one batch differ in shape: {shapes[:3]}") from None
        return stacked, torch.from_numpy(np.stack(anchors))

    def _drawn(self, row: int, draw: int) -> tuple[Tensor, np.ndarray]:
        # By the number of the draw, not by process or worker: any division of the work sees the same data.
        seed = seed_of(self._schedule.training.seed, draw)
        made, anchor = self._pairs.input(row), self._pairs.anchors[row]
        if self._pairs.views is not None:
            made, anchor = self._pairs.views.draw(row, seed, made)
        if self._change is not None:
            made = self._change(made, Generator().manual_seed(seed))
        return made, anchor

    def stream(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from number `start` to the end of the training, read ahead by `workers` processes."""
        training = self._schedule.training
        numbers = range(start, self._schedule.steps * training.accumulate)
        if training.workers == 0:
            return (self[number] for number in numbers)
        return iter(
            DataLoader(
                self, batch_size=None, sampler=numbers, num_workers=training.workers, generator=Generator()
            )
        )
