"""What YAMNet computes before it names classes: a frozen trunk for a small trained head."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from imagebind_node.encoders.concept import log_mel
from imagebind_node.encoders.concept.sound_patches import at_model_rate
from imagebind_node.encoders.concept.weights import load_network, model_dir
from imagebind_node.encoders.concept.yamnet import YAMNet
from imagebind_node.samples import AudioSample

_MOST_PATCHES = 64


class YamnetFeatures:
    """AudioSample -> float32 (1024,), the mean over its 0.975 s patches."""

    def __init__(self) -> None:
        network = load_network(YAMNet, model_dir("concept"), "audio.safetensors")
        self._layers = torch.nn.Sequential(*cast(YAMNet, network).layers)

    @torch.no_grad()
    def __call__(self, sample: AudioSample) -> Tensor:
        signal = at_model_rate(sample)
        if len(signal) < log_mel.PATCH_SAMPLES:
            # As in the concept encoder: short sounds are repeated, not followed by digital silence.
            signal = np.resize(signal, log_mel.PATCH_SAMPLES)
        patches = log_mel.patches(signal).unsqueeze(1)
        return torch.cat([self._layers(part).mean((2, 3)) for part in patches.split(_MOST_PATCHES)]).mean(0)
