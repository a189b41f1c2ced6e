"""Which rows a step sees, and how fast it learns: functions of the step alone, so that any step can be resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imagebind_node.binding.recipe import Training
from imagebind_node.errors import InvalidInputError


@dataclass(frozen=True)
class Schedule:
    """rows: number of pairs; world: number of processes."""

    training: Training
    rows: int
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch < max(2, self.world):
            raise InvalidInputError(
                f"{self.rows} pairs make no batch for {self.world} processes: record more"
            )

    @property
    def batch(self) -> int:
        """Rows a batch over all processes, the same number for each."""
        wanted = min(self.training.batch, self.rows)
        return wanted - wanted % self.world

    @property
    def batches_a_pass(self) -> int:
        """A pass sees every row at most once, so that no row is its own negative; the rest waits for another pass."""
        return self.rows // self.batch

    @property
    def steps_an_epoch(self) -> float:
        """Steps of the optimiser."""
        return self.training.replication * self.batches_a_pass / self.training.accumulate

    @property
    def steps(self) -> int:
        """Steps of the optimiser in all."""
        return max(1, round(self.training.epochs * self.steps_an_epoch))

    def indices(self, batch: int, rank: int = 0) -> np.ndarray:
        """The rows of the batch of this number that the process `rank` takes."""
        number, place = divmod(batch, self.batches_a_pass)
        share = self.batch // self.world
        start = place * self.batch + rank * share
        return _order(self.training.seed, number, self.rows)[start : start + share]

    def learning_rate(self, step: int) -> float:
        """Linear warm-up to the peak, then half a cosine down to the final rate (Loshchilov and Hutter 2017)."""
        training = self.training
        warmup = min(round(training.warmup_epochs * self.steps_an_epoch), self.steps - 1)
        if step < warmup:
            return training.learning_rate * (step + 1) / warmup
        progress = (step - warmup) / max(1, self.steps - warmup)
        low, high = training.final_learning_rate, training.learning_rate
        return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2


@lru_cache(maxsize=2)
def _order(seed: int, number: int, rows: int) -> np.ndarray:
    return np.random.default_rng((seed, number)).permutation(rows)
