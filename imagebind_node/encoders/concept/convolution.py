"""Convolution, bias and activation as one layer, and as one kernel where the CPU library has it.

Measured on two cores of an AVX-512 CPU, six 192x192 pictures through EfficientNet-Lite0: layer by layer 52 ms in
float32 and 22 ms in bfloat16, fused 29 ms and 17 ms (benchmarks of docs/concept.md).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# oneDNN's names, with the numbers that the activation takes
ACTIVATIONS: dict[str, list[float]] = {"none": [], "relu": [], "hardtanh": [0.0, 6.0], "leaky_relu": [0.1]}


class Convolution(nn.Conv2d):
    """2-d convolution with an activation behind it. `same`: pad as TensorFlow does, the odd pixel at the end."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: str = "none",
        same: bool = False,
    ) -> None:
        self._pads_apart = same and stride > 1
        padding = 0 if self._pads_apart else kernel // 2
        super().__init__(channels, out, kernel, stride, padding, groups=groups)
        self.activation = activation
        self._fused = False
        self._packed: Tensor | None = None

    def fuse(self) -> None:
        """Compute with the fused kernel from now on; `weight` no longer counts after the next call.

        That call fixes the order in which the weights are kept, which depends on the size of its input: inputs of
        other sizes work, but may have the weights reordered every time, in bfloat16 for longer than they are used.
        """
        self._fused = True

    def _pack(self, size: torch.Size) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, self.padding, self.stride, self.dilation, self.groups, list(size)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self._pads_apart:
            x = self._padded(x)
        if self._fused:
            if self._packed is None:
                self._packed = self._pack(x.shape)
            return torch.ops.mkldnn._convolution_pointwise(
                x,
                self._packed,
                self.bias,
                self.padding,
                self.stride,
                self.dilation,
                self.groups,
                self.activation,
                ACTIVATIONS[self.activation],
                "",
            )
        x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        if self.activation == "hardtanh":
            return F.hardtanh_(x, *ACTIVATIONS["hardtanh"])
        if self.activation == "leaky_relu":
            return F.leaky_relu_(x, *ACTIVATIONS["leaky_relu"])
        return F.relu_(x) if self.activation == "relu" else x

    def _padded(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pad = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pad += [total // 2, total - total // 2]
        return F.pad(x, pad)


@lru_cache(maxsize=1)
def fused_kernel() -> bool:
    """Whether the fused kernel works here: it is no public interface of PyTorch, so it is tried on a known sum."""
    if not torch.backends.mkldnn.is_available():
        return False
    layer = Convolution(2, 2, 1, activation="hardtanh").requires_grad_(False)
    with torch.inference_mode():
        nn.init.constant_(layer.weight, 2.0)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, -1.0)
        try:
            layer.fuse()
            found = layer(torch.ones(1, 2, 4, 4).to(memory_format=torch.channels_last))
        except (AttributeError, RuntimeError, NotImplementedError):
            return False
    return bool((found == 3.0).all())


def for_inference(
    network: nn.Module, dtype: torch.dtype = torch.float32, size: tuple[int, ...] = (1, 3, 224, 224)
) -> nn.Module:
    """The loaded network in `dtype`, channels last, its convolutions fused where that works.

    size: (B, C, H, W) of the inputs that are to be fast.
    """
    network = network.to(dtype=dtype)  # two calls: the type stubs know no form with both
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fused_kernel():
        for module in network.modules():
            if isinstance(module, Convolution):
                module.fuse()
        with torch.inference_mode():
            network(torch.zeros(size, dtype=dtype).to(memory_format=torch.channels_last))
    return network
