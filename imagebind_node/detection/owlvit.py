"""OWL-ViT and OWLv2 from `transformers`, with their text queries replaced by embeddings of ours.

Image tower, box head and class head are the library's and untouched; only the query matrix that the class
head multiplies with comes from `ClassEmbeddings` (Minderer et al. 2022, section 3: a query is any vector of
the space).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagebind_node.bridge import Bridge
from imagebind_node.detection.base import Detector
from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.detections import Regions
from imagebind_node.detection.registry import register_detector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.samples import ImageSample, Modality

KINDS = ("owlvit", "owlv2")
NORM_FLOOR = 1e-6  # added to every norm by the library's class head


class OwlVitDetector(Detector):
    """Regions are the patches of OWL-ViT or OWLv2, each with its predicted box.

    model: OwlViTForObjectDetection or Owlv2ForObjectDetection; processor: its image processor; tokenizer: its
    text tokenizer, for `encode_texts`, or None. bridge: carries class embeddings of another space into this
    one; without it, classes must be of this model's own space.
    """

    name = "owlvit"

    def __init__(
        self,
        model: Any,
        processor: Any,
        tokenizer: Any = None,
        *,
        space_id: str,
        bridge: Bridge | None = None,
        device: str = "cpu",
    ) -> None:
        self._kind = model.config.model_type
        if self._kind not in KINDS:
            raise InvalidInputError(f"{self._kind!r} is no OWL-ViT model: use one of {', '.join(KINDS)}")
        self.model = model.to(device).eval()
        self._processor = processor
        self._tokenizer = tokenizer
        self._device = device
        self.own_space = Space(space_id, model.config.text_config.hidden_size)
        if bridge is not None:
            self.own_space.require_same(bridge.target)
        self._bridge = bridge
        self.space = self.own_space if bridge is None else bridge.source

    def new_classes(self) -> ClassEmbeddings:
        """Scores are the model's own: the sigmoid of its logit."""
        return ClassEmbeddings(self.space, score="sigmoid", bridge=self._bridge)

    @torch.inference_mode()
    def regions(self, sample: ImageSample) -> Regions:
        """One region a patch. Boxes are clipped to the picture; those that leave no area are dropped."""
        height, width = sample.data.shape[:2]
        features = self._features(self.preprocess(sample))
        boxes, embeddings, shift, scale, objectness = self._heads(features)
        # OWLv2 pads the picture to a square, OWL-ViT stretches it.
        side = (max(height, width),) * 2 if self._kind == "owlv2" else (width, height)
        centre, half = boxes[:, :2] * side, boxes[:, 2:] * side / 2
        corners = np.concatenate([centre - half, centre + half], 1)
        corners = np.clip(corners, 0, (width, height, width, height)).astype(np.float32)
        good = ((corners[:, 2:] - corners[:, :2]) >= 1.0).all(1)
        return Regions(corners[good], embeddings[good], objectness[good], shift[good], scale[good])

    def preprocess(self, sample: ImageSample) -> torch.Tensor:
        """The library's own preprocessing: float32 (1, 3, side, side)."""
        return self._processor(images=sample.data, return_tensors="pt", input_data_format="channels_last")[
            "pixel_values"
        ].to(self._device)

    @torch.inference_mode()
    def logits(self, pixels: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        """Logits of every patch for class rows (C, dim) by the path that `regions` and `detect` take: (P, C)."""
        _, embeddings, shift, scale, _ = self._heads(self._features(pixels))
        return torch.from_numpy((embeddings @ rows.T + shift[:, None]) * scale[:, None])

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The model's own text tower: float32 (N, dim), unit. Raises ModelFileError without a tokenizer."""
        if self._tokenizer is None:
            raise ModelFileError(
                "this OWL-ViT checkpoint has no tokenizer: its own text tower cannot be used"
            )
        length = self.model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        backbone = getattr(self.model, self._kind)
        output = backbone.get_text_features(
            input_ids=tokens["input_ids"].to(self._device),
            attention_mask=tokens["attention_mask"].to(self._device),
        )
        features = getattr(output, "pooler_output", output)
        return torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()

    def encode(self, texts: Sequence[str]) -> list[Embedding]:
        """Texts as embeddings of this model's own space."""
        return [Embedding(row, Modality.TEXT, self.own_space) for row in self.encode_texts(texts)]

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        feature_map, _ = self.model.image_embedder(pixels)
        return feature_map

    def _heads(self, feature_map: torch.Tensor) -> tuple[np.ndarray, ...]:
        """Boxes (P, 4) centre and size in 0..1, unit embeddings (P, dim), logit shift, scale, objectness (P,)."""
        features = feature_map.flatten(1, 2)
        head = self.model.class_head
        embeddings = head.dense0(features)
        embeddings = embeddings / (embeddings.norm(dim=-1, keepdim=True) + NORM_FLOOR)
        shift = head.logit_shift(features)[..., 0]
        scale = head.elu(head.logit_scale(features))[..., 0] + 1
        if self._kind == "owlv2":
            objectness = self.model.objectness_predictor(features).sigmoid()
        else:
            objectness = torch.ones_like(shift)
        boxes = self.model.box_predictor(features, feature_map)
        return tuple(part[0].float().cpu().numpy() for part in (boxes, embeddings, shift, scale, objectness))


@register_detector("owlvit")
def load_owlvit(
    encoder: Encoder | None = None,
    *,
    checkpoint: str | Path | None = None,
    bridge: str | Path | None = None,
    device: str = "cpu",
) -> OwlVitDetector:
    """Load OWL-ViT or OWLv2 from a folder in the library's format (config.json, model.safetensors, ...).

    bridge: file of a bridge from the encoder's space; without it only the model's own embeddings are classes.
    Nothing is downloaded. Raises MissingDependencyError without the extra `owlvit`, ModelFileError if the
    folder is not such a model, SpaceMismatchError if the bridge does not join the encoder and this model.
    """
    if checkpoint is None or not (Path(checkpoint) / "config.json").is_file():
        raise ModelFileError(
            f"owlvit needs checkpoint: a folder with config.json and model.safetensors, got {checkpoint}; fetch "
            "google/owlvit-base-patch32 or google/owlv2-base-patch16-ensemble from its hub first"
        )
    try:
        from transformers import (
            AutoConfig,
            AutoTokenizer,
            Owlv2ForObjectDetection,
            Owlv2ImageProcessorPil,
            OwlViTForObjectDetection,
            OwlViTImageProcessorPil,
        )
    except ImportError as error:
        raise MissingDependencyError(
            f"owlvit needs transformers 5.20 or newer ({error}): pip install 'imagebind_node[owlvit]'"
        ) from None
    folder = Path(checkpoint)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.model_type not in KINDS:
            raise ModelFileError(
                f"{folder} holds a {config.model_type!r} model, not one of {', '.join(KINDS)}"
            )
        second = config.model_type == "owlv2"
        network = Owlv2ForObjectDetection if second else OwlViTForObjectDetection
        images = Owlv2ImageProcessorPil if second else OwlViTImageProcessorPil
        # Weights only as safetensors: a pickle could run code.
        model = network.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        if (folder / "preprocessor_config.json").is_file():
            processor = images.from_pretrained(folder, local_files_only=True)
        else:
            side = config.vision_config.image_size
            processor = images(size={"height": side, "width": side})
        has_tokenizer = (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file()
        tokenizer = (
            AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if has_tokenizer
            else None
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from None
    link = None if bridge is None else Bridge.load(bridge)
    if link is not None and encoder is not None:
        encoder.space.require_same(link.source)
    name = config.name_or_path or folder.name
    return OwlVitDetector(
        model, processor, tokenizer, space_id=owlvit_space_id(model, name), bridge=link, device=device
    )


def owlvit_space_id(model: Any, name: str) -> str:
    """Space id of a checkpoint: its folder's name and a checksum of the text projection, which defines the space."""
    import hashlib

    backbone = getattr(model, model.config.model_type)
    weight = backbone.text_projection.weight.detach().float().cpu().contiguous().numpy()
    return f"{Path(name).name}-{hashlib.sha256(weight.tobytes()).hexdigest()[:8]}"
