import pytest
import torch
from torch import nn
from torch.nn import functional as F

from imagebind_node.encoders import runtime
from imagebind_node.errors import InvalidInputError


def int8_of(linear: nn.Linear) -> runtime.Int8Linear:
    layer = runtime.Int8Linear(linear.in_features, linear.out_features, linear.bias is not None)
    weight, scale = runtime.quantise_weight(linear.weight.detach())
    layer.load_state_dict(
        {"weight": weight, "weight_scale": scale, **({} if linear.bias is None else {"bias": linear.bias})}
    )
    return layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_int8_layer_is_near_the_exact_one(bias, packed):
    torch.manual_seed(0)
    linear, tokens = nn.Linear(96, 80, bias=bias), torch.randn(2, 17, 96)
    layer = int8_of(linear)
    if packed:
        layer.pack()
    with torch.inference_mode():
        found, expected = layer(tokens), linear(tokens)
    assert found.shape == expected.shape
    assert 0.9995 < F.cosine_similarity(found.flatten(), expected.flatten(), dim=0) < 0.9999999


def test_weights_are_freed_once_they_are_packed():
    layer = int8_of(nn.Linear(8, 8))
    layer.pack()
    assert runtime.int8_kernel() == (layer.weight is None)


def test_one_huge_token_does_not_spoil_the_others():
    torch.manual_seed(0)
    linear, tokens = nn.Linear(64, 64), torch.randn(1, 8, 64)
    tokens[0, 3] *= 1000
    layer = int8_of(linear)
    layer.pack()
    with torch.inference_mode():
        found, expected = layer(tokens), linear(tokens)
    assert F.cosine_similarity(found, expected, dim=-1).min() > 0.999


def test_zero_and_constant_tokens():
    layer = int8_of(nn.Linear(8, 8))
    layer.pack()
    with torch.inference_mode():
        assert torch.isfinite(layer(torch.zeros(1, 2, 8))).all()
        assert torch.allclose(layer(torch.zeros(1, 2, 8)), layer.bias.expand(1, 2, 8), atol=1e-6)


def test_equalising_keeps_the_product_and_tames_outliers():
    torch.manual_seed(0)
    norm, linear = nn.LayerNorm(32), nn.Linear(32, 48)
    with torch.no_grad():
        norm.weight[5], norm.bias[7], linear.weight[:, 9] = 200.0, 90.0, 0.0
    tokens = torch.randn(1, 20, 32)
    gain, bias, weight = runtime.equalise(norm.weight, norm.bias, linear.weight)
    with torch.no_grad():
        before = linear(norm(tokens))
        channels = F.layer_norm(tokens, (32,), gain, bias)
        after = F.linear(channels, weight, linear.bias)
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-3)
    worst = norm(tokens).abs().amax((0, 1))
    assert (
        channels.abs().amax((0, 1)).max() / channels.abs().amax((0, 1)).median()
        < worst.max() / worst.median() / 4
    )


def test_packed_bf16_layer_equals_the_plain_one():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(48, 64)).to(torch.bfloat16)
    tokens = torch.randn(3, 5, 48, dtype=torch.bfloat16)
    with torch.inference_mode():
        expected = module(tokens)
        runtime.pack_linears(module, "bf16", "cpu")
        found = module(tokens)
    assert torch.allclose(found.float(), expected.float(), rtol=2e-2, atol=2e-2)


def test_unknown_precision():
    with pytest.raises(InvalidInputError, match="unknown precision 'int4'"):
        runtime.check_precision("int4", "cpu")


def test_largest_values_do_not_wrap_around():
    # The scale of a row is rounded to bf16: the largest value must still fit into 8 bits.
    layer = int8_of(nn.Linear(8, 8))
    layer.weight, layer.weight_scale = torch.eye(8, dtype=torch.int8) * 127, torch.full((8,), 1 / 127)
    layer.bias = None
    layer.pack()
    torch.manual_seed(0)
    rows = (torch.randn(20_000, 8) * torch.randn(20_000, 1).exp()).to(torch.bfloat16)
    with torch.inference_mode():
        error = (layer(rows[None])[0].float() - rows.float()).abs().amax(1)
    assert (error / rows.float().abs().amax(1)).max() < 1 / (2 * runtime.quantisation_levels()) + 0.02
