"""Dense features on the small golden ImageBind, against a slow literal implementation in numpy loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from imagebind_node.detection.dense_features import METHODS, embed_densely, interpolate_positions
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality
from tests.detection.small_imagebind import small_encoder


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


@pytest.fixture(scope="module")
def tower(encoder):
    return encoder.network.tower(Modality.VISION)


@pytest.fixture(scope="module")
def batch():
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def layer_norm(x, module):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + module.eps)
    return scaled * module.weight.detach().double().numpy() + module.bias.detach().double().numpy()


def linear(x, module):
    result = x @ module.weight.detach().double().numpy().T
    return result if module.bias is None else result + module.bias.detach().double().numpy()


def softmax(row):
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def literal_patches(tower, picture, method):
    """Straight from the papers: one head, one patch, one neighbour at a time, float64."""
    with torch.inference_mode():
        tokens = tower.trunk.pre_transformer_layer(tower.preprocessor(picture[None]))
        for block in tower.trunk.blocks[:-1]:
            tokens = block(tokens)
    x = tokens[0].double().numpy()
    block = tower.trunk.blocks[-1]
    count, width = x.shape
    heads = block.attn.heads
    each = width // heads
    side = math.isqrt(count - 1)
    fused = linear(layer_norm(x, block.norm_1), block.attn.in_proj)
    mixed = np.zeros_like(x)
    for head in range(heads):
        columns = slice(head * each, (head + 1) * each)
        q, k, v = (fused[:, part * width : (part + 1) * width][:, columns] for part in range(3))
        for i in range(count):
            if method == "maskclip":
                mixed[i, columns] = v[i]
                continue
            own_q = np.array([q[i] @ q[j] / math.sqrt(each) for j in range(count)])
            own_k = np.array([k[i] @ k[j] / math.sqrt(each) for j in range(count)])
            if method == "clearclip":
                weights = softmax(own_q)
            elif method == "sclip":
                weights = softmax(own_q) + softmax(own_k)
            else:
                for j in range(1, count if i else 0):
                    (r0, c0), (r1, c1) = divmod(i - 1, side), divmod(j - 1, side)
                    own_k[j] += math.exp(-((r0 - r1) ** 2 + (c0 - c1) ** 2) / (2 * 5.0**2))
                weights = softmax(own_k)
            mixed[i, columns] = weights @ v
    out = linear(mixed, block.attn.out_proj)
    if method == "sclip":
        out = x + out
        out = out + linear(gelu(linear(layer_norm(out, block.norm_2), block.mlp.fc1)), block.mlp.fc2)
    embedded = linear(layer_norm(out[1:], tower.head.norm), tower.head.project)
    return embedded / np.linalg.norm(embedded, axis=-1, keepdims=True)


@pytest.mark.parametrize("method", METHODS)
def test_patches_equal_the_literal_implementation(tower, batch, method):
    with torch.inference_mode():
        _, patches = embed_densely(tower, batch[:1], method)
    expected = literal_patches(tower, batch[0], method)
    assert patches.shape == (1, 16, 16, 32)
    np.testing.assert_allclose(patches[0].reshape(256, 32).numpy(), expected, atol=2e-5)


def test_methods_differ(tower, batch):
    with torch.inference_mode():
        maps = [embed_densely(tower, batch[:1], method)[1] for method in METHODS]
    for i in range(len(maps)):
        for j in range(i):
            assert (maps[i] - maps[j]).abs().max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_pictures_embedding_is_the_encoders_bit_for_bit(batch, method, precision):
    encoder = small_encoder(precision=precision)
    expected = encoder.forward(Modality.VISION, batch)
    with torch.inference_mode():
        whole, patches = embed_densely(encoder.network.tower(Modality.VISION), batch, method)
    assert torch.equal(whole, expected)
    assert torch.isfinite(patches).all()
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(2, 16, 16))


def test_rows_of_a_batch_do_not_mix(tower, batch):
    with torch.inference_mode():
        both = embed_densely(tower, batch)[1]
        alone = embed_densely(tower, batch[1:])[1]
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(224, 308), (448, 448), (112, 224)])
def test_other_resolutions_have_other_grids(tower, size):
    picture = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole, patches = embed_densely(tower, picture)
    assert patches.shape == (1, size[0] // 14, size[1] // 14, 32)
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(1))


def test_interpolated_positions_keep_a_linear_ramp_and_the_class_token():
    rows = torch.arange(16.0)[:, None].expand(16, 16).reshape(1, 256, 1)
    positions = torch.cat((torch.full((1, 1, 1), 99.0), rows), 1)
    stretched = interpolate_positions(positions, (16, 16), (32, 16))
    assert stretched[0, 0] == 99
    middle = stretched[0, 1:, 0].view(32, 16)[4:-4, 0]
    # PyTorch's bicubic kernel (a = -0.75) ripples a little around a ramp.
    torch.testing.assert_close(middle.diff(), torch.full((23,), 0.5), atol=0.1, rtol=0)
    assert middle.diff().mean().item() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(interpolate_positions(positions, (16, 16), (16, 16)), positions)


@pytest.mark.parametrize("shape", [(1, 3, 220, 224), (3, 224, 224), (1, 3, 0, 224)])
def test_sizes_that_are_no_whole_patches_are_refused(tower, shape):
    with pytest.raises(InvalidInputError, match="multiples of 14"):
        embed_densely(tower, torch.zeros(shape))


def test_unknown_methods_and_merged_tokens_are_refused(batch):
    encoder = small_encoder()
    tower = encoder.network.tower(Modality.VISION)
    with pytest.raises(InvalidInputError, match="clearclip"):
        embed_densely(tower, batch, "magic")
    encoder.set_token_merging(4)
    with pytest.raises(InvalidInputError, match="token merging"):
        embed_densely(tower, batch)
