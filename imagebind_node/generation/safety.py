"""The safety checker that diffusers ships with Stable Diffusion, for pipelines that have none of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagebind_node.errors import ModelFileError


class SafetyChecker:
    """Looks at pictures with a CLIP and refuses those near to one of 17 unsafe concepts (Rando et al. 2022)."""

    def __init__(self, checker: Any, feature_extractor: Any) -> None:
        """checker: StableDiffusionSafetyChecker; feature_extractor: the CLIPImageProcessor that goes with it."""
        self._checker, self._feature_extractor = checker.eval(), feature_extractor

    @torch.inference_mode()
    def refuses(self, picture: np.ndarray) -> bool:
        """Whether a picture, float (H, W, 3) from 0 to 1, should not be shown."""
        pixels = np.uint8((picture.clip(0, 1) * 255).round())
        looked = self._feature_extractor(
            images=[pixels], return_tensors="pt", input_data_format="channels_last"
        )
        parameter = next(self._checker.parameters())
        _, unsafe = self._checker(
            clip_input=looked.pixel_values.to(parameter.device, parameter.dtype), images=[picture.copy()]
        )
        return bool(unsafe[0])


def load_safety_checker(folder: Path, device: str, dtype: torch.dtype) -> SafetyChecker:
    """The checker in `folder`, in the layout of CompVis/stable-diffusion-safety-checker. Raises ModelFileError."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPImageProcessor

    try:
        checker = StableDiffusionSafetyChecker.from_pretrained(
            folder, local_files_only=True, dtype=dtype, use_safetensors=True
        )
        extractor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        line = " ".join(str(error).split())
        raise ModelFileError(
            f"{folder} is no safety checker ({line}): imagebind-node models pull stable_unclip --accept-licence, "
            "or ask for none (--no-safety-checker)"
        ) from error
    checker.to(torch.device(device))  # type: ignore[arg-type]
    return SafetyChecker(checker, extractor)
