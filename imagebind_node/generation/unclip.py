"""Generator for `imagebind_huge`: Stable unCLIP (diffusers), with our embedding in place of CLIP's own.

ImageBind's image tower is OpenCLIP's ViT-H/14, kept frozen while the other towers were trained into its space
(Girdhar et al. 2023, section 4); Stable unCLIP 2.1 was trained on the image embeddings of the same ViT-H/14. Those
are not of unit length, ours are: they are stretched to the length that the pipeline's own image encoder gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.generation.base import Picture, PictureGenerator
from imagebind_node.generation.safety import SafetyChecker

DEFAULT_GUIDANCE = 10.0  # the pipeline's own


class Unclip(PictureGenerator):
    """A StableUnCLIPImg2ImgPipeline behind the common interface."""

    name = "stable_unclip"
    default_steps = 20

    def __init__(
        self,
        pipeline: Any,
        space: Space,
        *,
        norm: float,
        checker: SafetyChecker | None,
        noise_level: int = 0,
        guidance: float = DEFAULT_GUIDANCE,
    ) -> None:
        """pipeline: loaded, on its device.

        norm: length that unit embeddings are stretched to, see `image_norm`. checker: looks at every picture; None:
        nobody does. noise_level: 0 to 999, how much of the embedding is left open: more varied, less faithful
        pictures. guidance: 1 to 100. Raises InvalidInputError for a value out of range or a pipeline that takes
        embeddings of another width.
        """
        self.pipeline, self.space, self.norm, self._checker = pipeline, space, norm, checker
        width = int(pipeline.image_normalizer.config.embedding_dim)
        if width != space.dim:
            raise InvalidInputError(
                f"this pipeline takes {width}-d embeddings, but space {space.id!r} has {space.dim}: "
                "use the unCLIP model that was trained on OpenCLIP ViT-H"
            )
        most = int(pipeline.image_noising_scheduler.config.num_train_timesteps) - 1
        if not 0 <= noise_level <= most:
            raise InvalidInputError(f"noise_level {noise_level} is outside 0 to {most}")
        if not 1 <= guidance <= 100:
            raise InvalidInputError(f"guidance {guidance:g} is outside 1 to 100")
        if not (np.isfinite(norm) and norm > 0):
            raise InvalidInputError(f"norm {norm:g} is not a number above 0")
        self._noise_level, self._guidance = noise_level, guidance
        pipeline.set_progress_bar_config(disable=True)

    def _draw(
        self, vector: np.ndarray, seed: int, steps: int, negative: str, progress: Callable[[int], None]
    ) -> Picture:
        pipeline = self.pipeline
        dtype = next(pipeline.unet.parameters()).dtype
        embeds = torch.from_numpy(vector * np.float32(self.norm))[None]
        try:
            (drawn,) = pipeline(
                prompt="",
                image_embeds=embeds.to(pipeline._execution_device, dtype),
                negative_prompt=negative or None,
                noise_level=self._noise_level,
                guidance_scale=self._guidance,
                num_inference_steps=steps,
                # On the CPU whatever the device: the same seed then starts from the same noise everywhere.
                generator=torch.Generator().manual_seed(seed),
                callback=lambda step, _time, _latents: progress(step + 1),
                output_type="np",
            ).images
        finally:
            # The pipeline does so itself unless `progress` raised.
            pipeline.maybe_free_model_hooks()
        withheld = self._checker is not None and self._checker.refuses(drawn)
        pixels = (drawn.clip(0, 1) * 255).round().astype(np.uint8)
        return Picture(np.zeros_like(pixels) if withheld else pixels, seed, withheld)


@torch.inference_mode()
def image_norm(pipeline: Any, pictures: Sequence[np.ndarray]) -> float:
    """Mean length of the pipeline's own image embeddings of some pictures, uint8 (H, W, 3).

    The pipeline's normaliser could tell it, too (root of the summed squares of its mean and standard deviation), but
    those of the ViT-H model are 0 and 1: never measured (v2-1-stable-unclip-h-inference.yaml names no statistics).
    """
    encoder = pipeline.image_encoder
    parameter = next(encoder.parameters())
    pixels = pipeline.feature_extractor(
        images=list(pictures), return_tensors="pt", input_data_format="channels_last"
    ).pixel_values
    embeds = encoder(pixels.to(parameter.device, parameter.dtype)).image_embeds
    return float(embeds.float().norm(dim=-1).mean())
