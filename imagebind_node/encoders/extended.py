"""An encoder with towers that were bound to its space in addition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder, StreamingFrontEnd
from imagebind_node.errors import SpaceMismatchError
from imagebind_node.preprocessing.thermal import ThermalRange
from imagebind_node.samples import Modality, Sample, parse_modality

if TYPE_CHECKING:
    from imagebind_node.binding.bound import BoundTower


class ExtendedEncoder(Encoder):
    """`base` and bound towers; a tower of a modality that `base` has takes its place. Made by `load_encoder`.

    Bound towers have no measure of evidence: their embeddings have confidence 1 and never abstain.
    """

    def __init__(self, base: Encoder, towers: Iterable[BoundTower]) -> None:
        """Raises SpaceMismatchError for a tower of another space."""
        self.base = base
        self.name, self.space = base.name, base.space
        self._towers: dict[Modality, BoundTower] = {}
        for tower in towers:
            if tower.space != base.space:
                raise SpaceMismatchError(
                    f"the {tower.modality} tower was bound to space {tower.space.id!r} ({tower.space.dim}-d), but "
                    f"model {base.name!r} has space {base.space.id!r} ({base.space.dim}-d): "
                    "load the model that it was bound to, or bind it anew"
                )
            self._towers[tower.modality] = tower
        self.modalities = base.modalities | frozenset(self._towers)

    def __getattr__(self, name: str) -> Any:
        # What only some families offer (image_logits, forward_scaled ...). Reached only where nothing else is found.
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    @property
    def thermal_range(self) -> ThermalRange:
        """Of the base."""
        return self.base.thermal_range

    @thermal_range.setter
    def thermal_range(self, value: ThermalRange) -> None:
        self.base.thermal_range = value

    def input_of(self, modality: Modality) -> dict[str, Any]:
        """Which messages the pairs of a bound tower were made of: `topic`, `type`, `read`; {} if it is not known."""
        tower = self._towers.get(modality)
        return {} if tower is None else dict(tower.card.get("input") or {})

    def preprocess(self, modality: Modality, sample: Sample) -> torch.Tensor:
        tower = self._towers.get(modality)
        return self.base.preprocess(modality, sample) if tower is None else tower.preprocess(sample)

    def forward(self, modality: Modality, batch: torch.Tensor) -> torch.Tensor:
        tower = self._towers.get(modality)
        return self.base.forward(modality, batch) if tower is None else tower.forward(batch)

    def window(self, modality: Modality) -> float:
        tower = self._towers.get(modality)
        return self.base.window(modality) if tower is None else tower.window

    def shortest_window(self, modality: Modality) -> float:
        tower = self._towers.get(modality)
        return self.base.shortest_window(modality) if tower is None else tower.window

    def front_end(self, modality: Modality) -> StreamingFrontEnd | None:
        tower = self._towers.get(modality)
        return self.base.front_end(modality) if tower is None else tower.front_end()

    def encode(self, modality: str | Modality, samples: Sequence[Any]) -> list[Embedding]:
        modality = parse_modality(modality)
        if modality in self._towers:
            return super().encode(modality, samples)
        self.require(modality)
        return self.base.encode(modality, samples)

    def encode_inputs(
        self, modality: Modality, inputs: list[torch.Tensor], samples: list[Sample]
    ) -> list[Embedding]:
        if modality in self._towers:
            return super().encode_inputs(modality, inputs, samples)
        return self.base.encode_inputs(modality, inputs, samples)
