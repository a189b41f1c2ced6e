"""Write a made-up checkpoint in the official format: right names and shapes, random weights.

    python benchmarks/make_random_checkpoint.py /tmp/random_huge.pth            # 4.8 GB
    python benchmarks/make_random_checkpoint.py /tmp/audio.pth --towers audio   # one tower

Weights are drawn as the original initialises them (Xavier for linear layers, so that signals keep their size
through 32 blocks), with LayerNorm gains and biases that vary by channel, as trained ones do.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from imagebind_node.encoders.imagebind.checkpoint import TEXT_MASK, expected_shapes
from imagebind_node.encoders.imagebind.config import HUGE, ImageBindConfig
from imagebind_node.samples import Modality


def random_state_dict(
    config: ImageBindConfig, modalities: list[Modality], seed: int = 0
) -> dict[str, torch.Tensor]:
    """Random weights by official name, float32."""
    generator = torch.Generator().manual_seed(seed)

    def normal(shape: tuple[int, ...], std: float) -> torch.Tensor:
        return torch.empty(shape).normal_(0.0, std, generator=generator)

    tensors = {}
    for modality in modalities:
        for name, shape in expected_shapes(config, modality).items():
            if name == TEXT_MASK:
                value = torch.full(shape, float("-inf")).triu_(1)
            elif name.endswith("log_logit_scale"):
                value = torch.tensor(math.log(config.towers[modality].scale))
            elif name.endswith(("pos_embed", "cls_token", "token_embedding.weight")):
                value = normal(shape, shape[-1] ** -0.5)
            elif len(shape) == 1:
                gain = name.endswith("weight")
                value = normal(shape, 0.3).exp() if gain else normal(shape, 0.1)
            elif "stem" in name:
                value = normal(shape, math.prod(shape[1:]) ** -0.5)
            else:
                value = normal(shape, math.sqrt(2 / (shape[0] + shape[-1])))
            tensors[name] = value
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--towers", nargs="+", choices=[m.value for m in Modality], default=list(Modality))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    modalities = [Modality(name) for name in arguments.towers]
    torch.save(random_state_dict(HUGE, modalities, arguments.seed), arguments.path)
    print(f"{arguments.path}: {arguments.path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
