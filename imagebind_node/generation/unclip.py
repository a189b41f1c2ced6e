"""Backend of `imagebind_huge`: Stable unCLIP (diffusers), conditioned on the embedding in place of CLIP's own.

ImageBind's vision tower is OpenCLIP ViT-H/14, frozen, and the other towers were trained into its space; Stable
unCLIP 2.1 was trained on the unnormalised projections of the same ViT-H/14 (Ramesh et al. 2022 for unCLIP).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.generation.base import PictureGenerator, Progress

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

MODEL = "stable_unclip"
MEMORY = ("full", "slicing", "offload")
_INDEX = "model_index.json"
_PIPELINE = "StableUnCLIPImg2ImgPipeline"


class Unclip(PictureGenerator):
    """A StableUnCLIPImg2ImgPipeline behind the common interface."""

    name = MODEL
    default_steps = 20

    def __init__(
        self,
        pipeline: Any,
        space: Any,
        *,
        noise_level: int = 0,
        guidance: float | None = None,
        norm: float | None = None,
    ) -> None:
        """pipeline: loaded and on its device.

        noise_level: 0 to 999, how much of the embedding is left open: more varied, less faithful pictures. norm:
        length given to the unit embeddings, None for that of the pictures the pipeline was trained on. Raises
        InvalidInputError for a value out of range or an embedding width that is not the pipeline's.
        """
        self.pipeline, self.space = pipeline, space
        width = int(pipeline.image_normalizer.config.embedding_dim)
        if width != space.dim:
            raise InvalidInputError(
                f"this pipeline takes {width}-d embeddings, but space {space.id!r} has {space.dim}: "
                "use the unCLIP model that was trained on OpenCLIP ViT-H"
            )
        most = int(pipeline.image_noising_scheduler.config.num_train_timesteps) - 1
        if not 0 <= noise_level <= most:
            raise InvalidInputError(f"noise_level {noise_level} is outside 0 to {most}")
        self.noise_level = noise_level
        self.guidance = 10.0 if guidance is None else float(guidance)
        self.norm = trained_norm(pipeline) if norm is None else float(norm)
        if not self.norm > 0:
            raise InvalidInputError(f"norm {self.norm:g} is not above 0")
        pipeline.set_progress_bar_config(disable=True)

    def _draw(
        self,
        vectors: np.ndarray,
        seed: int,
        steps: int,
        negative: str,
        same_noise: bool,
        progress: Progress | None,
    ) -> list[np.ndarray]:
        # One at a time: memory for one picture only, and the picture does not depend on how many are asked for.
        pictures = []
        for index, vector in enumerate(vectors):

            def report(step: int, _time: Any, _latents: Any, done: int = index * steps) -> None:
                if progress is not None:
                    progress(min(done + step + 1, done + steps), len(vectors) * steps)

            drawn = self.draw_one(vector, seed if same_noise else seed + index, steps, negative, report)
            pictures.append((drawn.clip(0, 1) * 255).round().astype(np.uint8))
        return pictures

    def draw_one(
        self, vector: np.ndarray, seed: int, steps: int, negative: str = "", callback: Any = None
    ) -> np.ndarray:
        """float32 (H, W, 3) in [0, 1] of a unit vector (dim,)."""
        pipeline = self.pipeline
        device, dtype = pipeline._execution_device, next(pipeline.unet.parameters()).dtype
        embeds = torch.from_numpy(np.asarray(vector, np.float32) * np.float32(self.norm))[None]
        try:
            result = pipeline(
                prompt="",
                image_embeds=embeds.to(device, dtype),
                negative_prompt=negative or None,
                noise_level=self.noise_level,
                guidance_scale=self.guidance,
                num_inference_steps=steps,
                # On the CPU whatever the device: the same seed then starts from the same noise everywhere.
                generator=torch.Generator().manual_seed(seed),
                callback=callback,
                output_type="np",
            )
        finally:
            pipeline.maybe_free_model_hooks()
        picture: np.ndarray = result.images[0]
        return picture


def trained_norm(pipeline: Any) -> float:
    """Root mean square length of the CLIP embeddings that the pipeline was trained on.

    Its normaliser holds their mean and standard deviation an entry, and E|x|^2 = |mean|^2 + |deviation|^2. The
    embeddings of this package are unit vectors: given as they are, they would look like the mean embedding.
    """
    normalizer = pipeline.image_normalizer
    return float((normalizer.mean.float().square() + normalizer.std.float().square()).sum().sqrt())


def load(
    encoder: Encoder,
    *,
    folder: str | Path | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    memory: str = "slicing",
    noise_level: int = 0,
    guidance: float | None = None,
    norm: float | None = None,
) -> Unclip:
    """The pipeline in `folder` (diffusers layout; None: where `models pull stable_unclip` puts it).

    memory: full; slicing (attention and decoder in slices); offload (parts wait in main memory, CUDA only). A
    safety checker stays on where the folder has one. Raises MissingDependencyError, ModelFileError, DeviceError,
    InvalidInputError.
    """
    if memory not in MEMORY:
        raise InvalidInputError(f"memory {memory!r} is not one of {', '.join(MEMORY)}")
    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    if precision not in dtypes:
        raise InvalidInputError(
            f"the generator has no precision {precision!r}: use one of {', '.join(dtypes)}"
        )
    place = _place(folder)
    try:
        from diffusers import StableUnCLIPImg2ImgPipeline
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures from {encoder.name} need diffusers and transformers ({error}): "
            "pip install 'imagebind_node[generate]'"
        ) from error
    if memory == "offload" and not device.startswith("cuda"):
        raise DeviceError(f"memory offload moves parts between a CUDA GPU and main memory, not on {device!r}")
    try:
        pipeline = StableUnCLIPImg2ImgPipeline.from_pretrained(
            place, torch_dtype=dtypes[precision], local_files_only=True
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        line = " ".join(str(error).split())
        raise ModelFileError(f"{place} is no whole {_PIPELINE} ({line}): pull it again") from error
    if memory == "slicing":
        pipeline.enable_attention_slicing()
        pipeline.vae.enable_slicing()
    if memory == "offload":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return Unclip(pipeline, encoder.space, noise_level=noise_level, guidance=guidance, norm=norm)


def _place(folder: str | Path | None) -> Path:
    from imagebind_node.model_store import model_folder

    place = model_folder(MODEL) if folder is None else Path(folder).expanduser()
    if not (place / _INDEX).is_file():
        raise ModelFileError(
            f"{place} holds no {_INDEX}: run imagebind-node models pull {MODEL} --accept-licence, or name the "
            "folder of a diffusers pipeline"
        )
    return place
