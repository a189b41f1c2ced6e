"""CLIP from `transformers` as an encoder, so that everything here also works in a CLIP's own space.

Used with a bridge: sounds of another model, carried over, then act as class embeddings of this CLIP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import (
    InvalidInputError,
    MissingDependencyError,
    ModelFileError,
    UnsupportedModalityError,
)
from imagebind_node.samples import Modality, Sample

TOWERS = frozenset({Modality.VISION, Modality.TEXT})


class ClipEncoder(Encoder):
    """A CLIP (Radford et al. 2021) with the library's own preprocessing and tokenizer.

    model: CLIPModel; images: its image processor; tokenizer: its tokenizer.
    """

    name = "clip"

    def __init__(self, model: Any, images: Any, tokenizer: Any, *, name: str, device: str = "cpu") -> None:
        self._model = model.to(device).eval()
        self._images, self._tokenizer, self._device = images, tokenizer, device
        self.modalities = TOWERS
        weight = model.text_projection.weight.detach().float().cpu().contiguous().numpy()
        digest = hashlib.sha256(weight.tobytes()).hexdigest()[:8]
        self.space = Space(f"{name}-{digest}", model.config.projection_dim)

    def preprocess(self, modality: Modality, sample: Sample) -> Tensor:
        """vision: float32 (3, side, side); text: int64 (tokens,)."""
        self.require(modality)
        if modality is Modality.TEXT:
            length = self._model.config.text_config.max_position_embeddings
            tokens = self._tokenizer(
                [sample.data], padding="max_length", truncation=True, max_length=length, return_tensors="pt"
            )
            return tokens["input_ids"][0]
        if not isinstance(sample.data, np.ndarray) or sample.data.ndim != 3:
            raise InvalidInputError("model 'clip' embeds single pictures: pass frames of the video")
        return self._images(images=sample.data, return_tensors="pt", input_data_format="channels_last")[
            "pixel_values"
        ][0]

    @torch.inference_mode()
    def forward(self, modality: Modality, batch: Tensor) -> Tensor:
        """float32 (B, dim), L2-normalised."""
        self.require(modality)
        batch = batch.to(self._device)
        if modality is Modality.TEXT:
            # Causal attention: what follows the end of the text cannot change it, so no padding mask is needed.
            output = self._model.get_text_features(input_ids=batch)
        else:
            output = self._model.get_image_features(pixel_values=batch)
        features = getattr(output, "pooler_output", output)
        return torch.nn.functional.normalize(features.float(), dim=-1)

    def zero_shot(self, image: Embedding, classes: list[Embedding]) -> np.ndarray:
        """CLIP's zero-shot head: class probabilities, float32 (C,), for class embeddings of this space.

        The head's weights are the class embeddings; replacing them by carried-over sounds is all that it
        takes.
        """
        rows = np.stack([self._own(embedding) for embedding in classes])
        return softmax(self._model.logit_scale.exp().item() * (rows @ self._own(image)))

    def _own(self, embedding: Embedding) -> np.ndarray:
        self.space.require_same(embedding.space)
        return embedding.vector


def load_clip(
    folder: str | Path, *, modalities: Iterable[Modality] | None = None, device: str = "cpu"
) -> ClipEncoder:
    """Load a CLIP from a folder in the library's format; nothing is downloaded.

    Raises MissingDependencyError without the extra `owlvit`, ModelFileError if the folder is not a CLIP.
    """
    if modalities is not None and not frozenset(modalities) <= TOWERS:
        raise UnsupportedModalityError("model 'clip' has vision and text towers only")
    try:
        from transformers import AutoConfig, AutoTokenizer, CLIPImageProcessorPil, CLIPModel
    except ImportError as error:
        raise MissingDependencyError(
            f"CLIP needs transformers 5.20 or newer ({error}): pip install 'imagebind_node[owlvit]'"
        ) from None
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelFileError(
            f"no CLIP in {folder}: it must hold config.json, model.safetensors and a tokenizer"
        )
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.model_type != "clip":
            raise ModelFileError(f"{folder} holds a {config.model_type!r} model, not a CLIP")
        # Weights only as safetensors: a pickle could run code.
        model = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        if (folder / "preprocessor_config.json").is_file():
            images = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
        else:
            side = config.vision_config.image_size
            images = CLIPImageProcessorPil(
                size={"shortest_edge": side}, crop_size={"height": side, "width": side}
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ModelFileError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelFileError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from None
    return ClipEncoder(model, images, tokenizer, name=folder.name, device=device)
