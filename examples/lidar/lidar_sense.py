"""A sense that this package does not have: 2-D lidar. All that it takes is this one module, named in
IMAGEBIND_NODE_PLUGINS or in an entry point `imagebind_node.binding` of your own package."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from imagebind_node.binding.augmentations import Change, register_augmentation
from imagebind_node.binding.preprocessing import Preprocessing, register_preprocessing
from imagebind_node.binding.towers import register_tower
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ArraySample


@register_preprocessing("scan_ring")
def scan_ring(beams: int = 360, reach: float = 10.0) -> Preprocessing:
    """LaserScan -> (2, beams): nearness from 0 (`reach` metres or more) to 1, and whether there is an echo.

    Beam k looks to -180 + k * 360 / beams degrees in the frame of the sensor, whatever its own angles are; where it
    does not look at all, and for ranges outside its limits, there is no echo.
    """

    def function(sample: ArraySample) -> Tensor:
        missing = {"angle_min", "angle_increment", "range_min", "range_max"} - set(sample.facts)
        if missing:
            raise InvalidInputError(
                f"a laser scan needs {', '.join(sorted(missing))}: save them beside the ranges"
            )
        ranges = torch.from_numpy(sample.data.astype("float32"))
        if ranges.ndim != 1 or sample.facts["angle_increment"] == 0:
            raise InvalidInputError("a laser scan is one row of ranges with an angle_increment")
        wanted = -torch.pi + torch.arange(beams) * 2 * torch.pi / beams
        step = sample.facts["angle_increment"]
        turn = ((wanted - sample.facts["angle_min"]) * (1 if step > 0 else -1)).remainder(2 * torch.pi)
        turn = torch.where(turn > 2 * torch.pi - 1e-4, 0.0, turn)
        place = (turn / abs(step)).round().long()
        seen = ranges[place.clamp(max=len(ranges) - 1)]
        echo = (
            (place < len(ranges)) & (seen >= sample.facts["range_min"]) & (seen <= sample.facts["range_max"])
        )
        near = torch.where(echo, 1 - seen.clamp(max=reach) / reach, 0.0)
        return torch.stack([near, echo.float()])

    return Preprocessing(function)


@register_tower("scan_ring")
class ScanRing(nn.Module):
    """(B, 2, beams) -> (B, dim): convolutions around the ring; at its end still known where each thing lies."""

    def __init__(
        self, dim: int, beams: int = 360, width: int = 48, cells: int = 12, dropout: float = 0.2
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 2
        for wide in (width, width, 2 * width, 2 * width):
            layers += [
                nn.Conv1d(channels, wide, 7, 2, 3, padding_mode="circular"),
                nn.GroupNorm(8, wide),
                nn.SiLU(),
            ]
            channels = wide
        self.ring = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(cells), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(channels * cells, dim)

    def forward(self, batch: Tensor) -> Tensor:
        return self.head(self.ring(batch))


@register_augmentation("lost_beams")
def lost_beams(share: float = 0.1, noise: float = 0.01) -> Change:
    """Up to `share` of the beams lose their echo; the others' nearness varies by `noise` (standard deviation)."""

    def change(sample: Tensor, generator: Generator) -> Tensor:
        kept = torch.rand(sample.shape[-1], generator=generator) >= share * torch.rand(
            (), generator=generator
        )
        near = (sample[0] + noise * torch.randn(sample.shape[-1], generator=generator)).clamp(0, 1)
        return torch.stack([near * sample[1], sample[1]]) * kept

    return change
