"""Stable unCLIP from its files: found, read, set on a device, its memory saved."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.generation.safety import load_safety_checker
from imagebind_node.generation.unclip import DEFAULT_GUIDANCE, Unclip, image_norm

if TYPE_CHECKING:
    import numpy as np

    from imagebind_node.encoders.base import Encoder

MODEL = "stable_unclip"
MEMORY = ("full", "slicing", "offload", "sequential")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CHECKER_FOLDER = "safety_checker"
_INDEX = "model_index.json"


def load(
    encoder: Encoder,
    *,
    folder: str | Path | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    memory: str = "slicing",
    safety: bool = True,
    noise_level: int = 0,
    guidance: float | None = None,
    norm: float | None = None,
) -> Unclip:
    """The pipeline in `folder` (diffusers layout; None: where `models pull stable_unclip` puts it).

    memory: full; slicing: attention in slices, the decoder in tiles; offload: each part in GPU memory only while it
    works; sequential: each layer (both also slice, CUDA only). safety: the checker in `folder`/safety_checker looks
    at every picture. norm: length of the embeddings; None: measured with the pipeline's image encoder on the pictures
    of the demo. Raises MissingDependencyError, ModelFileError, DeviceError, InvalidInputError.
    """
    if memory not in MEMORY:
        raise InvalidInputError(f"memory {memory!r} is not one of {', '.join(MEMORY)}")
    if precision not in DTYPES:
        raise InvalidInputError(
            f"the generator has no precision {precision!r}: use one of {', '.join(DTYPES)}"
        )
    on_gpu = device.startswith("cuda")
    if memory in ("offload", "sequential") and not on_gpu:
        raise DeviceError(
            f"memory {memory} moves parts between a CUDA GPU and main memory, not on {device!r}: use slicing"
        )
    place, dtype = _place(folder), DTYPES[precision]
    pipeline = _read(place, dtype, encoder.name)
    checker = load_safety_checker(place / CHECKER_FOLDER, device, dtype) if safety else None
    # Before the parts are spread over devices; once a start, a second on a CPU.
    length = image_norm(pipeline, demo_pictures()) if norm is None else norm
    save_memory(pipeline, memory)
    if memory == "offload":
        pipeline.enable_model_cpu_offload(device=device)
    elif memory == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return Unclip(
        pipeline,
        encoder.space,
        norm=length,
        checker=checker,
        noise_level=noise_level,
        guidance=DEFAULT_GUIDANCE if guidance is None else guidance,
    )


def save_memory(pipeline: Any, memory: str) -> None:
    """Slices of attention and tiles of the decoder, for all but `full`."""
    if memory != "full":
        pipeline.enable_attention_slicing()
        pipeline.vae.enable_slicing()
        pipeline.vae.enable_tiling()


def demo_pictures() -> list[np.ndarray]:
    """The bundled photographs, uint8 (H, W, 3)."""
    from imagebind_node.demo.scenes import demo_dir
    from imagebind_node.formats.pictures import read_rgb

    return [read_rgb(path) for path in sorted(demo_dir().glob("*.jpg"))]


def _place(folder: str | Path | None) -> Path:
    from imagebind_node.model_store import model_folder

    place = model_folder(MODEL) if folder is None else Path(folder).expanduser()
    if not (place / _INDEX).is_file():
        raise ModelFileError(
            f"{place} holds no {_INDEX}: run imagebind-node models pull {MODEL} --accept-licence, or name the "
            "folder of a Stable unCLIP pipeline"
        )
    return place


def _read(place: Path, dtype: torch.dtype, family: str) -> Any:
    try:
        from diffusers import StableUnCLIPImg2ImgPipeline
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures from {family} need diffusers, transformers and accelerate ({error}): "
            "pip install 'imagebind_node[generate]'"
        ) from error
    # Bars for every part of the pipeline; ours show the steps.
    for library in ("diffusers", "transformers"):
        import_module(f"{library}.utils.logging").disable_progress_bar()
    try:
        return StableUnCLIPImg2ImgPipeline.from_pretrained(
            place, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        line = " ".join(str(error).split())
        raise ModelFileError(
            f"{place} is no whole StableUnCLIPImg2ImgPipeline ({line}): pull it again"
        ) from error
