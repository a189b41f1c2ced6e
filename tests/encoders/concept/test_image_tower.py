"""The image tower gives the same answers however many pictures, of whatever size, it was made to be fast for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from imagebind_node.encoders.concept.efficientnet import EfficientNetLite0, normalise
from imagebind_node.encoders.concept.image_tower import ImageTower
from imagebind_node.encoders.concept.weights import load_network, model_dir

TYPES = [torch.float32, torch.bfloat16]


def pictures(count: int, side: int) -> torch.Tensor:
    """Coarse random patches: the network sees more in them than in noise."""
    generator = torch.Generator().manual_seed(side)
    coarse = torch.randint(0, 256, (count, 3, 6, 6), generator=generator).float()
    return F.interpolate(coarse, size=(side, side)).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


@pytest.fixture(scope="module")
def plain():
    """Logits of the network layer by layer in float32, nothing fused."""
    network = load_network(EfficientNetLite0, model_dir(), "image.safetensors")
    with torch.inference_mode():
        yield lambda batch: network(normalise(batch).permute(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("count", "side"), [(1, 192), (4, 192), (6, 192), (2, 224)])
@torch.inference_mode()
def test_logits_are_those_of_the_plain_network(plain, dtype, count, side):
    tower = ImageTower(model_dir(), dtype, 4, 192)
    batch = pictures(count, side)
    logits = torch.cat([tower.logits(part) for part in batch.split(tower.batch)])
    assert logits.shape == (count, 1000) and logits.dtype is torch.float32
    near = F.cosine_similarity(logits, plain(batch))
    assert near.min() > (0.9999 if dtype is torch.float32 else 0.99)


@pytest.mark.parametrize("dtype", TYPES)
@torch.inference_mode()
def test_cells_average_to_the_whole(dtype):
    tower = ImageTower(model_dir(), dtype)
    batch = pictures(1, 224)
    cells = tower.dense(batch)
    assert cells.shape == (1, 7, 7, 1000)
    assert F.cosine_similarity(cells.mean((1, 2)), tower.logits(batch)).min() > 0.999
