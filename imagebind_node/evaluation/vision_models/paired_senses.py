"""Pictures with what else is known of the same thing, and frozen features of it for light heads to start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.listing import for_entry, read_list
from imagebind_node.samples import Modality

FIELDS = {
    "text": Modality.TEXT,
    "sound": Modality.AUDIO,
    "depth": Modality.DEPTH,
    "thermal": Modality.THERMAL,
}


@dataclass(frozen=True)
class PairedSenses:
    """pictures: files, N. names: what each shows; equal names are the same thing. senses: modality to frozen features,
    float32 (N, F), none of which was made with an image encoder that is judged."""

    pictures: tuple[Path, ...]
    names: np.ndarray
    senses: dict[Modality, np.ndarray]

    def read_pictures(self) -> Iterator[np.ndarray]:
        """uint8 (H, W, 3) one by one. Raises InvalidInputError for a file that is no picture."""
        from imagebind_node.files import read_image

        for path in self.pictures:
            yield read_image(path).data


def read_paired_senses(path: Path) -> PairedSenses:
    """A list pairs.json: objects with "text" and "image", and "sound", "depth" or "thermal" where all entries have it.

    Features: words by MiniLM (384), sound by YAMNet before its classes (1024), depth and thermal pictures as grey by
    EfficientNet's logits (1000); all from the embedded model `concept`. Raises InvalidInputError naming the entry.
    """
    entries = read_list(path, {"text": str, "image": str})
    fields = [field for field in FIELDS if all(isinstance(entry.get(field), str) for entry in entries)]
    if len(fields) < 2:
        raise InvalidInputError(
            f"{path}: every entry needs `sound`, `depth` or `thermal` besides `text` and `image`: without a third "
            "sense nothing can be emergent"
        )
    trunks = {field: _trunk(FIELDS[field]) for field in fields}
    senses = {}
    for field, trunk in trunks.items():
        rows = [
            for_entry(
                path, number, partial(trunk, entry[field] if field == "text" else path.parent / entry[field])
            )
            for number, entry in enumerate(entries)
        ]
        senses[FIELDS[field]] = np.stack(rows).astype(np.float32)
    pictures = tuple(path.parent / entry["image"] for entry in entries)
    return PairedSenses(pictures, np.array([entry["text"] for entry in entries]), senses)


def _trunk(modality: Modality) -> Any:
    """Frozen network: one input -> features (F,)."""
    from imagebind_node.files import as_sample

    if modality is Modality.AUDIO:
        from imagebind_node.binding.preprocessing import build_preprocessing

        yamnet = build_preprocessing("yamnet").function
        return lambda value: yamnet(as_sample(value, modality)).numpy()
    encoder: Any = load_encoder("concept", modalities=[modality])
    if modality is Modality.TEXT:
        return lambda value: encoder.encode(modality, [value])[0].vector

    @torch.inference_mode()
    def logits(value: Any) -> np.ndarray:
        return encoder.image_logits(encoder.preprocess(modality, as_sample(value, modality))[None])[0].numpy()

    return logits
