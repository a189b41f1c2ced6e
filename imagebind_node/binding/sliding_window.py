"""Endless sound for a tower whose preprocessing knows whole sounds only: the newest window, computed anew each hop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from imagebind_node.samples import AudioSample

SAMPLE_RATE = 16_000


class SlidingWindow:
    """See `StreamingFrontEnd`."""

    sample_rate = SAMPLE_RATE

    def __init__(self, preprocess: Callable[[AudioSample], torch.Tensor], window: float) -> None:
        """window: seconds, above 0."""
        self._preprocess = preprocess
        self._count = round(window * SAMPLE_RATE)
        self.reset()

    def reset(self) -> None:
        """Forget everything, after a gap in the signal."""
        self._signal = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> None:
        """Append float32 (N,) samples at 16 kHz mono."""
        self._signal = np.concatenate([self._signal, np.asarray(samples, np.float32)])[-self._count :]

    def input(self) -> torch.Tensor | None:
        """The tower's input for the newest window; None until a whole one was pushed."""
        if len(self._signal) < self._count:
            return None
        return self._preprocess(AudioSample(self._signal, SAMPLE_RATE))
