"""Networks of a local torch.hub folder, and what they share with other networks: pictures in, pooled rows out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.preprocessing.image import ImageParameters, preprocess_image
from imagebind_node.samples import ImageSample

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]
# What most image networks are trained on: 224 pixels, mean and deviation of ImageNet.
IMAGENET = ImageParameters(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def load_hub(folder: str, entry: str, device: str) -> Embed:
    """Entry point `entry`, called without arguments, of the hubconf.py in `folder`, whose code is run.

    The network gets pictures as torch.hub's own examples do: shorter side to 224, middle cut out, normalised with
    ImageNet's mean and deviation. Raises InvalidInputError or ModelFileError.
    """
    if not entry or not (Path(folder) / "hubconf.py").is_file():
        raise InvalidInputError(f"{folder!r} holds no hubconf.py: write hub:FOLDER:ENTRY")
    try:
        network: Any = torch.hub.load(folder, entry, source="local")
    except Exception as error:
        raise ModelFileError(f"{folder}, entry {entry}: {' '.join(str(error).split())}") from error
    if not isinstance(network, nn.Module):
        raise InvalidInputError(f"{folder}, entry {entry} is {type(network).__name__}, not a network")
    return embedder(network, lambda picture: preprocess_image(ImageSample(picture), IMAGENET), device)


def embedder(network: nn.Module, prepare: Callable[[np.ndarray], Tensor], device: str) -> Embed:
    """A frozen network as a function of pictures; maps and tokens are averaged. prepare: picture -> (3, H, W)."""
    network.to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def embed(pictures: Sequence[np.ndarray]) -> np.ndarray:
        batch = torch.stack([prepare(picture) for picture in pictures])
        return pooled(network(batch.to(device))).float().cpu().numpy()

    return embed


def pooled(output: Any) -> Tensor:
    """(B, D) as it is; tokens (B, T, D) and maps (B, D, H, W) averaged; of several outputs the pooled or first one."""
    if not isinstance(output, Tensor):
        best = getattr(output, "pooler_output", None)
        if best is None:
            best = getattr(output, "last_hidden_state", None)
        if best is None and isinstance(output, (tuple, list)) and output:
            best = output[0]
        if not isinstance(best, Tensor):
            raise InvalidInputError(f"the network gives {type(output).__name__}, which holds no features")
        output = best
    if output.ndim == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.ndim == 3 else output
