"""Activities of a person from inertial measurements: a 1-d convolution network bound to six captions.

Trained by models/concept/train_imu.py on UCI HAPT (Reyes-Ortiz et al. 2016): a phone at the waist, x upwards.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 50.0
WINDOW_SECONDS = 2.56
STEPS = 128
# 0.64 s. On the people left out of training: as often right as with 2.56 s, and less sure (docs/concept.md).
SHORTEST_STEPS = 32
GRAVITY = 9.80665
CLASSES = 6
CHANNELS = (48, 96, 128, 128)
KERNEL = 5
# Mean length of the acceleration of one who walks, climbs or rests: 8 to 12 m/s^2 in all of the training data.
PLAUSIBLE = (7.0, 13.0)
# Of the direction's components: people wear a belt a little otherwise than those of the training data.
MARGIN = 0.1


class InertialNetwork(nn.Module):
    """(B, 6, 128) windows at 50 Hz, m/s^2 and rad/s -> (B, 6) logits of the activities. Takes shorter ones as well.

    `rows` (6, 384): unit text embeddings of the activities, centred; `lowest`, `highest` (6, 3): bounds of the
    direction (x, y, z of a unit vector) that the mean acceleration has during each (percentiles 0.5 and 99.5).
    """

    rows: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, width: int = 384) -> None:
        super().__init__()
        sizes = (6, *CHANNELS)
        self.layers = nn.ModuleList(nn.Conv1d(a, b, KERNEL, 2, KERNEL // 2) for a, b in pairwise(sizes))
        self.classifier = nn.Linear(CHANNELS[-1], CLASSES)
        self.register_buffer("rows", torch.zeros(CLASSES, width))
        self.register_buffer("lowest", torch.full((CLASSES, 3), -1.0))
        self.register_buffer("highest", torch.full((CLASSES, 3), 1.0))

    def forward(self, windows: Tensor) -> Tensor:
        x = scaled(windows)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.classifier(x.mean(2))

    def plausible(self, windows: Tensor, probabilities: Tensor) -> Tensor:
        """(B,) bool: units and axes are those of the training data.

        The acceleration must be as long as gravity, and must point where it points in what was recognised: a
        sensor that is mounted otherwise, or gives g or no gravity, is noticed rather than misread.
        """
        mean = windows[:, :3].mean(2)
        length = mean.norm(dim=1)
        best = probabilities.argmax(1)
        direction = F.normalize(mean, dim=1)
        inside = (direction >= self.lowest[best] - MARGIN) & (direction <= self.highest[best] + MARGIN)
        return inside.all(1) & (length > PLAUSIBLE[0]) & (length < PLAUSIBLE[1])


def scaled(windows: Tensor) -> Tensor:
    """Accelerations in units of gravity, turn rates as they are: all channels then have a size of about 1."""
    return torch.cat([windows[:, :3] / GRAVITY, windows[:, 3:]], 1)


def steps_of(seconds: float) -> int:
    """Length of the window for a recording of so many seconds between first and last measurement: 32 to 128."""
    return min(STEPS, max(SHORTEST_STEPS, int(seconds * RATE + 1e-6) + 1))
