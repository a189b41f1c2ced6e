"""Image networks of Hugging Face transformers, with the image processor that belongs to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagebind_node.errors import MissingDependencyError, ModelFileError
from imagebind_node.evaluation.vision_models.torch_hub import pooled

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]


def load_transformers(name: str, trained: bool, device: str) -> Embed:
    """name: folder with config.json, model.safetensors and preprocessor_config.json, or a repository of Hugging Face,
    which is fetched unless it is cached. trained: False for random weights, always the same.

    Of models with a text tower as well (CLIP, SigLIP) the projected image features are taken, else the pooled output,
    else the mean of the tokens. Code of the repository is never run, pickled weights are refused.
    Raises MissingDependencyError or ModelFileError.
    """
    try:
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoImageProcessor, AutoModel
    except ImportError as error:
        raise MissingDependencyError(
            f"transformers models need transformers 5.20 or newer ({error}): pip install 'imagebind_node[owlvit]'"
        ) from None
    local = Path(name).is_dir()
    try:
        processor = AutoImageProcessor.from_pretrained(name, local_files_only=local, trust_remote_code=False)
        if trained:
            network: Any = AutoModel.from_pretrained(
                name, local_files_only=local, trust_remote_code=False, use_safetensors=True
            )
        else:
            with torch.random.fork_rng([]):
                torch.manual_seed(0)
                network = AutoModel.from_config(
                    AutoConfig.from_pretrained(name, local_files_only=local, trust_remote_code=False)
                )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelFileError(f"{name} cannot be loaded: {' '.join(str(error).split())[:400]}") from None
    network.to(device).eval().requires_grad_(False)
    run = getattr(network, "get_image_features", network)

    @torch.inference_mode()
    def embed(pictures: Sequence[np.ndarray]) -> np.ndarray:
        inputs = processor(images=list(pictures), return_tensors="pt", input_data_format="channels_last")
        return pooled(run(pixel_values=inputs["pixel_values"].to(device))).float().cpu().numpy()

    return embed
