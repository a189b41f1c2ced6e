"""Shape of an ImageBind model, as small dataclasses. Weights of other shapes need only another configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.formats.documents import read_json
from imagebind_node.samples import Modality

IMAGE_SIDE = 224
MEL_BINS = 128
MEL_FRAMES = 204
IMU_CHANNELS = 6
IMU_STEPS = 2000
TEXT_TOKENS = 77
VOCABULARY = 49408
CLIP_LOGIT_SCALE = 1 / 0.07


@dataclass(frozen=True)
class TowerConfig:
    """One transformer. width: components a token; patch, stride: pixels (time steps for IMU); scale: of the output.

    bias_kv: whether attention has one learnt extra key and value; norm_tokens: LayerNorm right after the stem;
    norm_trunk: LayerNorm before the first block; causal: a token sees only earlier ones.
    """

    width: int
    blocks: int
    heads: int
    patch: int = 16
    stride: int = 16
    bias_kv: bool = True
    norm_tokens: bool = True
    norm_trunk: bool = False
    causal: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class ImageBindConfig:
    """All towers and the width `dim` of the shared space. `constructor` keeps the original's own parameters."""

    dim: int
    frames: int
    towers: dict[Modality, TowerConfig]
    constructor: dict[str, Any]


# Parameters of the original's constructor and their defaults (public interface of the reference implementation).
_DEFAULTS: dict[str, Any] = {
    "video_frames": 2,
    "kernel_size": [2, 14, 14],
    "audio_kernel_size": 16,
    "audio_stride": 10,
    "out_embed_dim": 768,
    "vision_embed_dim": 1024,
    "vision_num_blocks": 24,
    "vision_num_heads": 16,
    "audio_embed_dim": 768,
    "audio_num_blocks": 12,
    "audio_num_heads": 12,
    "audio_num_mel_bins": MEL_BINS,
    "audio_target_len": MEL_FRAMES,
    "audio_drop_path": 0.1,
    "text_embed_dim": 768,
    "text_num_blocks": 12,
    "text_num_heads": 12,
    "depth_embed_dim": 384,
    "depth_kernel_size": 16,
    "depth_num_blocks": 12,
    "depth_num_heads": 8,
    "depth_drop_path": 0.0,
    "thermal_embed_dim": 768,
    "thermal_kernel_size": 16,
    "thermal_num_blocks": 12,
    "thermal_num_heads": 12,
    "thermal_drop_path": 0.0,
    "imu_embed_dim": 512,
    "imu_kernel_size": 8,
    "imu_num_blocks": 6,
    "imu_num_heads": 8,
    "imu_drop_path": 0.7,
}
_FIXED = {"audio_num_mel_bins": MEL_BINS, "audio_target_len": MEL_FRAMES}


def config_from_constructor(parameters: dict[str, Any]) -> ImageBindConfig:
    """Build the configuration from the original constructor's parameters; absent ones take its defaults.

    Drop-path rates are accepted and unused: they act in training only. Raises ModelFileError on unknown or
    impossible values.
    """
    unknown = sorted(set(parameters) - set(_DEFAULTS))
    if unknown:
        raise ModelFileError(f"ImageBind configuration has unknown entries: {', '.join(unknown)}")
    values = {**_DEFAULTS, **parameters}
    kernel = values["kernel_size"]
    if not isinstance(kernel, (list, tuple)) or len(kernel) != 3 or kernel[1] != kernel[2]:
        raise ModelFileError(f"ImageBind kernel_size must be [frames, pixels, pixels], got {kernel!r}")
    for key, value in {**values, "kernel_size": kernel[1]}.items():
        if not key.endswith("drop_path") and (not isinstance(value, int) or not 1 <= value <= 1 << 16):
            raise ModelFileError(
                f"ImageBind configuration: {key} must be a positive whole number, got {value!r}"
            )
    for key, value in _FIXED.items():
        if values[key] != value:
            raise ModelFileError(f"ImageBind configuration: {key} must be {value}, got {values[key]}")
    if values["video_frames"] != kernel[0]:
        raise ModelFileError("ImageBind configuration: video_frames must equal the temporal kernel_size")

    def tower(name: str, patch: int, stride: int, **options: Any) -> TowerConfig:
        width, heads = values[f"{name}_embed_dim"], values[f"{name}_num_heads"]
        if width % heads:
            raise ModelFileError(
                f"ImageBind configuration: {name} width {width} is not a multiple of {heads} heads"
            )
        return TowerConfig(width, values[f"{name}_num_blocks"], heads, patch, stride, **options)

    text = tower("text", 1, 1, bias_kv=False, norm_tokens=False, causal=True, scale=CLIP_LOGIT_SCALE)
    vision = tower("vision", kernel[1], kernel[1], bias_kv=False, norm_tokens=False, norm_trunk=True)
    towers = {
        Modality.VISION: vision,
        Modality.TEXT: text,
        Modality.AUDIO: tower("audio", values["audio_kernel_size"], values["audio_stride"], scale=20.0),
        Modality.DEPTH: tower("depth", values["depth_kernel_size"], values["depth_kernel_size"], scale=5.0),
        Modality.THERMAL: tower(
            "thermal", values["thermal_kernel_size"], values["thermal_kernel_size"], scale=10.0
        ),
        Modality.IMU: tower("imu", values["imu_kernel_size"], values["imu_kernel_size"], scale=5.0),
    }
    return ImageBindConfig(values["out_embed_dim"], kernel[0], towers, dict(parameters))


HUGE = config_from_constructor(
    {
        "vision_embed_dim": 1280,
        "vision_num_blocks": 32,
        "vision_num_heads": 16,
        "text_embed_dim": 1024,
        "text_num_blocks": 24,
        "text_num_heads": 16,
        "out_embed_dim": 1024,
    }
)


def read_config(path: str | Path) -> ImageBindConfig:
    """Read a JSON file that holds the constructor's parameters, alone or under the key "constructor"."""
    try:
        document = read_json(path, "ImageBind configuration")
    except InvalidInputError as error:
        raise ModelFileError(str(error)) from error
    parameters = document.get("constructor", document) if isinstance(document, dict) else None
    if not isinstance(parameters, dict):
        raise ModelFileError(
            f"ImageBind configuration {path} must be a JSON object of constructor parameters"
        )
    return config_from_constructor(parameters)
