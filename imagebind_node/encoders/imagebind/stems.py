"""From model input to tokens, one class a kind of signal. Parameter names follow the official state dict."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.encoders.imagebind.config import (
    IMAGE_SIDE,
    IMU_CHANNELS,
    IMU_STEPS,
    MEL_BINS,
    MEL_FRAMES,
    TEXT_TOKENS,
    VOCABULARY,
    TowerConfig,
)
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality


def _require(batch: Tensor, shape: tuple[int, ...], what: str) -> None:
    if batch.ndim != len(shape) + 1 or tuple(batch.shape[1:]) != shape:
        wanted = ", ".join(str(side) for side in shape)
        raise InvalidInputError(f"{what} input must have shape (B, {wanted}), got {tuple(batch.shape)}")


class _PositionEmbedding(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, width))


class _PatchStem(nn.Module):
    """Convolution without bias, and for all but vision a LayerNorm (default epsilon 1e-5 as in the original)."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, config.width, config.patch, config.stride, bias=False)
        self.norm_layer = nn.LayerNorm(config.width)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm_layer(self.proj(images).flatten(2).transpose(1, 2))


class PictureStem(nn.Module):
    """One-channel pictures: depth and thermal (B, 1, 224, 224), mel spectrogram (B, 1, 128, 204)."""

    def __init__(self, modality: Modality, config: TowerConfig) -> None:
        super().__init__()
        audio = modality is Modality.AUDIO
        self.what = str(modality)
        self.size = (1, MEL_BINS, MEL_FRAMES) if audio else (1, IMAGE_SIDE, IMAGE_SIDE)
        rows, columns = ((side - config.patch) // config.stride + 1 for side in self.size[1:])
        # The original calls the same thing depth_stem in one tower and rgbt_stem in the two others.
        self.stem_name = "depth_stem" if modality is Modality.DEPTH else "rgbt_stem"
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.add_module(self.stem_name, _PatchStem(config))
        self.pos_embedding_helper = _PositionEmbedding(rows * columns + 1, config.width)

    def forward(self, batch: Tensor) -> Tensor:
        _require(batch, self.size, self.what)
        tokens = self.get_submodule(self.stem_name)(batch)
        tokens = torch.cat((self.cls_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        return tokens + self.pos_embedding_helper.pos_embed


class _VisionProjection(nn.Module):
    """Patches x frames as one matrix product; the convolution's stride equals its kernel, so nothing overlaps."""

    def __init__(self, config: TowerConfig, frames: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.width, 3, frames, config.patch, config.patch))
        self.frames = frames
        self._folded: Tensor | None = None

    def folded(self) -> Tensor:
        """Kernel for a still picture: the frame would be repeated, so the temporal kernels add up."""
        if self.training or torch.is_grad_enabled():
            return self.weight.sum(2)
        if self._folded is None or self._folded.dtype != self.weight.dtype:
            self._folded = self.weight.float().sum(2).to(self.weight.dtype)
        return self._folded

    def forward(self, batch: Tensor) -> Tensor:
        if batch.ndim == 5 and batch.shape[2] == 1:
            batch = batch.squeeze(2)
        if batch.ndim == 4:
            tokens = F.conv2d(batch, self.folded(), stride=self.weight.shape[-1])
        else:
            tokens = F.conv3d(batch, self.weight, stride=tuple(self.weight.shape[2:]))
        return tokens.flatten(2).transpose(1, 2)


class _VisionStem(nn.Module):
    def __init__(self, config: TowerConfig, frames: int) -> None:
        super().__init__()
        # Index 0 repeats a still picture in the original; it has no parameters.
        self.proj = nn.ModuleDict({"1": _VisionProjection(config, frames)})


class VisionStem(nn.Module):
    """Pictures (B, 3, 224, 224) or clips of `frames` pictures (B, 3, frames, 224, 224)."""

    def __init__(self, config: TowerConfig, frames: int) -> None:
        super().__init__()
        side = IMAGE_SIDE // config.patch
        self.frames = frames
        self.grid = (side, side)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.rgbt_stem = _VisionStem(config, frames)
        self.pos_embedding_helper = _PositionEmbedding(side * side + 1, config.width)

    def forward(self, batch: Tensor) -> Tensor:
        size: tuple[int, ...] = (3, IMAGE_SIDE, IMAGE_SIDE)
        if batch.ndim == 5:
            frames = 1 if batch.shape[2] == 1 else self.frames
            size = (3, frames, IMAGE_SIDE, IMAGE_SIDE)
        _require(batch, size, "vision")
        tokens = self._projection()(batch)
        tokens = torch.cat((self.cls_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        return tokens + self.pos_embedding_helper.pos_embed

    def fold(self) -> None:
        """Prepare the kernel for still pictures now, not at the first picture."""
        with torch.inference_mode():
            self._projection().folded()

    def _projection(self) -> _VisionProjection:
        projection = self.rgbt_stem.proj["1"]
        assert isinstance(projection, _VisionProjection)
        return projection


class TextStem(nn.Module):
    """Token numbers (B, 77) of CLIP's vocabulary; the end-of-text token has the highest number."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, TEXT_TOKENS, config.width))
        self.token_embedding = nn.Embedding(VOCABULARY, config.width)

    def forward(self, batch: Tensor) -> Tensor:
        if batch.ndim != 2 or not 1 <= batch.shape[1] <= TEXT_TOKENS:
            raise InvalidInputError(
                f"text input must have shape (B, {TEXT_TOKENS}), got {tuple(batch.shape)}"
            )
        return self.token_embedding(batch) + self.pos_embed[:, : batch.shape[1]]


class _ImuProjection(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(IMU_CHANNELS * config.patch, config.width, bias=False)
        self.norm_layer = nn.LayerNorm(config.width)


class ImuStem(nn.Module):
    """Inertial windows (B, 6, 2000): each token is `patch` time steps of all channels."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.pos_embed = nn.Parameter(torch.empty(1, IMU_STEPS // config.patch + 1, config.width))
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.imu_stem = _ImuProjection(config)

    def forward(self, batch: Tensor) -> Tensor:
        _require(batch, (IMU_CHANNELS, IMU_STEPS), "imu")
        steps = IMU_STEPS // self.patch
        patches = batch[:, :, : steps * self.patch].reshape(batch.shape[0], IMU_CHANNELS, steps, self.patch)
        tokens = self.imu_stem.proj(patches.transpose(1, 2).flatten(2))
        tokens = self.imu_stem.norm_layer(tokens)
        tokens = torch.cat((self.cls_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        return tokens + self.pos_embed


def build_stem(modality: Modality, config: TowerConfig, frames: int) -> nn.Module:
    """The stem of one tower."""
    if modality is Modality.VISION:
        return VisionStem(config, frames)
    if modality is Modality.TEXT:
        return TextStem(config)
    if modality is Modality.IMU:
        return ImuStem(config)
    return PictureStem(modality, config)
