"""YAMNet (AudioSet, 521 classes): MobileNet v1 on log-mel patches, batch normalisation folded in.

Architecture and class list: Plakal and Ellis, TensorFlow model garden, research/audioset/yamnet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imagebind_node.encoders.concept.convolution import Convolution

CLASSES = 521
FEATURES = 1024
# stride, output channels; the first layer is a full convolution, the others are depthwise separable
LAYERS = (
    (2, 32),
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)


class YAMNet(nn.Module):
    """(P, 96, 64) log-mel patches -> (P, 521) probabilities, independent of each other (sigmoid)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for index, (stride, out) in enumerate(LAYERS):
            if index == 0:
                layers.append(Convolution(1, out, 3, stride, activation="relu", same=True))
            else:
                depthwise = Convolution(
                    channels, channels, 3, stride, groups=channels, activation="relu", same=True
                )
                layers.append(depthwise)
                layers.append(Convolution(channels, out, 1, activation="relu"))
            channels = out
        self.layers = nn.ModuleList(layers)
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def forward(self, patches: Tensor) -> Tensor:
        x = patches.unsqueeze(1)
        for layer in self.layers:
            x = layer(x)
        return torch.sigmoid(self.classifier(x.mean((2, 3))))
