"""Image encoders of any origin, by name, frozen: pictures in, one row of features a picture out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from imagebind_node.binding.measurements import load_function
from imagebind_node.errors import InvalidInputError

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]
FORMS = (
    "concept or another model of this package; timm:NAME; transformers:FOLDER_OR_NAME; hub:FOLDER:ENTRY; "
    "MODULE:FUNCTION. @random after timm:NAME or transformers:FOLDER leaves the weights untrained"
)
_RANDOM = "@random"
_BATCH = 16


@dataclass(frozen=True)
class ImageEncoder:
    """name: as it was asked for. embed: uint8 RGB pictures (H, W, 3), of any sizes -> numbers (N, D)."""

    name: str
    embed: Embed

    def features(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """float32 (N, D) of all pictures, some at a time. Raises InvalidInputError if it gives no such thing."""
        rows: list[np.ndarray] = []
        batch: list[np.ndarray] = []
        for picture in pictures:
            batch.append(picture)
            if len(batch) == _BATCH:
                rows.append(self._checked(batch))
                batch = []
        if batch:
            rows.append(self._checked(batch))
        if len({part.shape[1] for part in rows}) != 1:
            raise InvalidInputError(
                f"{self.name}: rows of different length for different pictures, or no picture"
            )
        return np.concatenate(rows)

    def _checked(self, batch: list[np.ndarray]) -> np.ndarray:
        made = self.embed(batch)
        if hasattr(made, "detach"):
            made = made.detach().cpu().float().numpy()
        rows = np.asarray(made)
        if rows.ndim != 2 or len(rows) != len(batch) or rows.dtype.kind not in "fiu":
            raise InvalidInputError(
                f"{self.name} must give one row of numbers for each of {len(batch)} pictures, got {rows.dtype} "
                f"{rows.shape}"
            )
        rows = rows.astype(np.float32)
        if not np.isfinite(rows).all():
            raise InvalidInputError(f"{self.name} gives NaN or infinite features")
        return rows


def load_image_encoder(name: str, device: str = "cpu") -> ImageEncoder:
    """The encoder that `name` says, see FORMS. `MODULE:FUNCTION` is called with a list of pictures.

    Raises InvalidInputError for a name of no such form or an unknown model, MissingDependencyError without timm or
    transformers, ModelFileError for weights that cannot be loaded.
    """
    kind, colon, rest = name.partition(":")
    if not colon:
        return ImageEncoder(name, _own(name, device))
    if kind == "hub":
        from imagebind_node.evaluation.vision_models.torch_hub import load_hub

        folder, _, entry = rest.rpartition(":")
        return ImageEncoder(name, load_hub(folder, entry, device))
    trained = not rest.endswith(_RANDOM)
    rest = rest.removesuffix(_RANDOM)
    if kind == "timm":
        from imagebind_node.evaluation.vision_models.timm_models import load_timm

        return ImageEncoder(name, load_timm(rest, trained, device))
    if kind == "transformers":
        from imagebind_node.evaluation.vision_models.transformers_models import load_transformers

        return ImageEncoder(name, load_transformers(rest, trained, device))
    try:
        return ImageEncoder(name, load_function(name))
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}. A vision model is one of: {FORMS}") from None


def _own(name: str, device: str) -> Embed:
    from imagebind_node.encoders.base import encoder_names, load_encoder
    from imagebind_node.samples import Modality

    if name not in encoder_names():
        raise InvalidInputError(f"unknown vision model {name!r}: use one of: {FORMS}")
    encoder = load_encoder(name, modalities=[Modality.VISION], device="cpu" if name == "concept" else device)

    def embed(pictures: Sequence[np.ndarray]) -> np.ndarray:
        found = encoder.encode(Modality.VISION, list(pictures))
        return np.stack([e.vector if e.vector.size else np.zeros(e.space.dim, np.float32) for e in found])

    return embed
