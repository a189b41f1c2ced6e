"""Device and precision: how a network's linear layers are stored and computed.

The choice of kernels is by measurement on an AVX-512 VNNI/BF16 CPU (benchmarks/encoders.py), one 257 x 1280 x 5120
product: fp32 39 ms, bf16 packed 16 ms, int8 with a scale for each token and each output channel 8.1 ms plus 0.5 ms
for quantising and rescaling. All kernels come with PyTorch; where one is missing the layer falls back to a slower
one with the same result up to rounding.
"""

from __future__ import annotations

import platform
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.errors import InvalidInputError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.bfloat16}
ZERO_POINT = 128
_MIN_SCALE = 1e-8


def check_precision(precision: str, device: str) -> None:
    """Raise InvalidInputError for a precision that the device cannot run."""
    if precision not in _DTYPES:
        raise InvalidInputError(f"unknown precision {precision!r}: use one of {', '.join(_DTYPES)}")
    if precision == "fp16" and not device.startswith("cuda"):
        raise InvalidInputError("precision fp16 needs a CUDA device: on a CPU use bf16 or int8")
    if precision == "int8" and device.startswith("cuda"):
        raise InvalidInputError("precision int8 is for CPUs: on a CUDA device use fp16 or bf16")


def activation_dtype(precision: str) -> torch.dtype:
    """Type of activations and of all weights that are not quantised."""
    return _DTYPES[precision]


def _x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()


@lru_cache(maxsize=1)
def int8_kernel() -> bool:
    """Whether products of 8-bit integers are computed as such; otherwise int8 saves memory only.

    The kernel is no public interface of PyTorch, so it is tried on a product whose result is known.
    """
    if not _x86():
        return False
    try:
        weight = torch.eye(4, dtype=torch.int8) * 3
        packed = torch.ops.onednn.qlinear_prepack(weight, None)
        rows = torch.full((2, 4), ZERO_POINT + 5, dtype=torch.uint8)
        found = _multiply(rows, packed, torch.ones(4), torch.zeros(4, dtype=torch.int64), torch.float32)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((found == 15.0).all())


def _multiply(rows: Tensor, packed: Tensor, scale: Tensor, zero_points: Tensor, dtype: torch.dtype) -> Tensor:
    """Product of offset 8-bit rows and packed weights, each output channel multiplied by its scale."""
    return torch.ops.onednn.qlinear_pointwise(
        rows, 1.0, ZERO_POINT, packed, scale, zero_points, None, 1.0, 0, dtype, "none", [], ""
    )


def quantisation_levels() -> int:
    """Largest magnitude of a quantised activation: one below what 8 bits hold, since its scale is rounded to bf16.

    Without VNNI, sums of two 8-bit products saturate 16 bits, so that 7 bits have to do.
    """
    probe = getattr(torch.cpu, "_is_vnni_supported", None)
    return 126 if probe is not None and probe() else 62


def quantise_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric 8-bit weights with one scale an output channel: int8 (N, K), float32 (N,)."""
    weight = weight.float()
    scale = weight.abs().amax(1).clamp_min(_MIN_SCALE) / 127
    return (weight / scale[:, None]).round_().clamp_(-127, 127).to(torch.int8), scale


def equalise(norm_weight: Tensor, norm_bias: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move outlier channels from the input of a layer into its weights, without changing the product.

    The idea is SmoothQuant's (Xiao et al. 2023); the range of a normalised channel is taken from the LayerNorm
    itself (3 |gain| + |bias|), so no calibration data is needed. Returns new gain, bias and weight.
    """
    activation = 3 * norm_weight.float().abs() + norm_bias.float().abs()
    factor = (activation.clamp_min(1e-5) / weight.float().abs().amax(0).clamp_min(1e-5)).sqrt()
    factor = (factor / factor.log().mean().exp()).clamp(1e-3, 1e3)
    return norm_weight.float() / factor, norm_bias.float() / factor, weight.float() * factor


class Int8Linear(nn.Module):
    """Linear layer with 8-bit weights and activations quantised on the fly, a scale for each token.

    A scale for each token (not one a tensor) keeps the few tokens with huge activations, which large vision
    transformers have, from drowning all others.
    """

    weight: Tensor | None
    weight_scale: Tensor

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.register_buffer("weight", torch.empty(outputs, inputs, dtype=torch.int8))
        self.register_buffer("weight_scale", torch.empty(outputs))
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False) if bias else None
        self._packed: Tensor | None = None

    def pack(self) -> None:
        """Reorder the weights for the kernel and free the plain copy. Call once, after loading."""
        if int8_kernel() and self.weight is not None:
            self._packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
            self._zero_points = torch.zeros(self.outputs, dtype=torch.int64)
            self._levels = float(quantisation_levels())
            self.weight = None

    def forward(self, tokens: Tensor) -> Tensor:
        if self._packed is None:
            assert self.weight is not None
            weight = self.weight.to(tokens.dtype) * self.weight_scale[:, None].to(tokens.dtype)
            return F.linear(tokens, weight, self.bias)
        rows = tokens.reshape(-1, self.inputs)
        # All in the activations' own type: temporaries of float32 would cost more than the product they serve.
        inverse = (
            rows.abs().amax(1, keepdim=True).float().clamp_min_(_MIN_SCALE).reciprocal_().mul_(self._levels)
        )
        inverse = inverse.to(tokens.dtype)
        quantised = (rows * inverse).round_().add_(ZERO_POINT).to(torch.uint8)
        product = _multiply(quantised, self._packed, self.weight_scale, self._zero_points, tokens.dtype)
        scale = inverse.float().reciprocal_().to(tokens.dtype)
        result = product.mul_(scale) if self.bias is None else torch.addcmul(self.bias, product, scale)
        return result.view(*tokens.shape[:-1], self.outputs)


class PackedLinear(nn.Module):
    """Linear layer whose weights are reordered for the CPU once, not at every call."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.outputs = linear.out_features
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, tokens: Tensor) -> Tensor:
        rows = tokens.reshape(-1, tokens.shape[-1])
        product = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
        return product.view(*tokens.shape[:-1], self.outputs)


def replace_linears(module: nn.Module, make: type[Int8Linear] = Int8Linear) -> None:
    """Swap every Linear inside `module` for an empty quantised one (then load weights into it)."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, make(child.in_features, child.out_features, child.bias is not None))
        else:
            replace_linears(child, make)


def pack_linears(module: nn.Module, precision: str, device: str) -> None:
    """Bring the loaded linear layers inside `module` into the layout that the CPU kernels want."""
    for name, child in list(module.named_children()):
        if isinstance(child, Int8Linear):
            child.pack()
        elif isinstance(child, nn.Linear) and precision == "bf16" and device == "cpu" and _can_pack_bf16():
            setattr(module, name, PackedLinear(child))
        else:
            pack_linears(child, precision, device)


def _can_pack_bf16() -> bool:
    return (
        _x86()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
