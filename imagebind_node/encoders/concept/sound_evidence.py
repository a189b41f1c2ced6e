"""What a sound says about things: AudioSet probabilities to class weights and to confidence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SoundEvidence:
    """Class weights for ConSE out of AudioSet probabilities.

    A family (Bird) is active whenever one of its kinds (Owl) is, and would pull every embedding towards the middle
    of the family; so the best kind's probability, discounted, is taken off the family's. Classes that name a whole
    realm count a tenth, classes that name no thing (Silence, Echo, Inside ...) nothing.
    """

    def __init__(self, classes: dict[str, Any], constants: dict[str, Any]) -> None:
        self._weights = torch.tensor(classes["audio_weights"], dtype=torch.float32)
        self._noise = torch.tensor(classes["audio_noise"])
        self._families: dict[int, list[tuple[int, int]]] = {}
        for parent, first, last in classes["audio_families"]:
            self._families.setdefault(parent, []).append((first, last + 1))
        self._discount = float(constants["audio_family_discount"])
        self._noise_factor = float(constants["audio_noise_factor"])

    def weights(self, probabilities: Tensor) -> Tensor:
        """Probabilities (..., 521), 0 to 1 -> weights (..., 521), 0 to 1."""
        weights = probabilities.clone()
        for parent, ranges in self._families.items():
            kinds = torch.stack([probabilities[..., a:b].amax(-1) for a, b in ranges]).amax(0)
            weights[..., parent] -= self._discount * kinds
        return weights.clamp_(min=0) * self._weights

    def confidence(self, probabilities: Tensor) -> Tensor:
        """(...,), 0 to 1: how far the best thing stands out of silence and noise."""
        noise = probabilities[..., self._noise].amax(-1)
        return (self.weights(probabilities).amax(-1) - self._noise_factor * noise).clamp(min=0)
