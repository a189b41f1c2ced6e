"""A fitted map between two spaces, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from imagebind_node.embedding import Embedding, Space, stack
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.samples import Modality, parse_modality

FORMAT = "imagebind_node.bridge/1"
_MEAN = "source_mean."


@dataclass(frozen=True)
class Bridge:
    """Carries embeddings of `source` to `target`: unit((x - source mean) @ matrix + target mean).

    matrix: float32 (source.dim, target.dim), fitted on captions that the text towers of both spaces encode.
    source_means: the mean embedding, float32 (source.dim,), of each modality of the source space that is
    known, always of text. Encoders leave a constant gap between modalities (Liang et al. 2022); subtracting
    each modality's own mean closes it before the map. A modality without a mean uses that of text.
    target_mean: float32 (target.dim,), of the captions: what leaves the bridge looks like text of the target.
    card: how it was fitted and what it reached on held-out captions, see `fit_bridge`.
    """

    source: Space
    target: Space
    matrix: np.ndarray
    source_means: Mapping[Modality, np.ndarray]
    target_mean: np.ndarray
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.matrix.shape != (self.source.dim, self.target.dim):
            raise InvalidInputError(
                f"a bridge from {self.source.dim} to {self.target.dim} dimensions cannot have a matrix of shape "
                f"{self.matrix.shape}"
            )
        if self.target_mean.shape != (self.target.dim,):
            raise InvalidInputError(f"target mean must be ({self.target.dim},), got {self.target_mean.shape}")
        if Modality.TEXT not in self.source_means:
            raise InvalidInputError("a bridge needs the mean of text embeddings of its source space")
        for modality, mean in self.source_means.items():
            if mean.shape != (self.source.dim,):
                raise InvalidInputError(f"{modality} mean must be ({self.source.dim},), got {mean.shape}")
        arrays = (self.matrix, self.target_mean, *self.source_means.values())
        if not all(np.isfinite(array).all() for array in arrays):
            raise InvalidInputError("the bridge holds NaN or infinite values: fit it again")

    def map(self, embedding: Embedding) -> Embedding:
        """Carry one embedding over. Raises SpaceMismatchError unless it is of `source`.

        One without a vector (it abstained) stays without.
        """
        self.source.require_same(embedding.space)
        if embedding.vector.size == 0:
            return replace(embedding, space=self.target)
        mapped = self.map_rows(embedding.vector[None], embedding.modality)[0]
        return replace(embedding, vector=mapped, space=self.target)

    def map_rows(self, rows: np.ndarray, modality: str | Modality = Modality.TEXT) -> np.ndarray:
        """Carry unit rows (N, source.dim) of one modality over: float32 (N, target.dim), unit."""
        if rows.ndim != 2 or rows.shape[1] != self.source.dim:
            raise InvalidInputError(f"rows must be (N, {self.source.dim}), got {rows.shape}")
        mean = self.source_means.get(parse_modality(modality), self.source_means[Modality.TEXT])
        mapped = (rows - mean) @ self.matrix + self.target_mean
        norms = np.linalg.norm(mapped, axis=1, keepdims=True)
        if (norms < 1e-9).any():
            raise InvalidInputError("an embedding has nothing in common with the captions of this bridge")
        return (mapped / norms).astype(np.float32)

    def with_mean(self, modality: str | Modality, embeddings: Sequence[Embedding]) -> Bridge:
        """The same bridge, centred for one more modality by the mean of varied `embeddings` of it."""
        modality = parse_modality(modality)
        if len(embeddings) < 2 or any(e.modality != modality for e in embeddings):
            raise InvalidInputError(f"centring needs at least 2 embeddings, all of {modality}")
        self.source.require_same(embeddings[0].space)
        mean = stack(embeddings).mean(0).astype(np.float32)
        return replace(self, source_means={**self.source_means, modality: mean})

    def save(self, path: str | Path) -> None:
        """Write tensors and card as one safetensors file."""
        tensors = {f"{_MEAN}{modality}": mean for modality, mean in self.source_means.items()}
        tensors |= {"matrix": self.matrix, "target_mean": self.target_mean}
        card = {
            **self.card,
            "source": {"space": self.source.id, "dim": self.source.dim},
            "target": {"space": self.target.id, "dim": self.target.dim},
        }
        try:
            save_file(
                {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()},
                Path(path),
                metadata={"format": FORMAT, "card": json.dumps(card, sort_keys=True)},
            )
        except (OSError, SafetensorError) as error:
            raise InvalidInputError(f"cannot write {path}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Bridge:
        """Read a file that `save` wrote. Raises ModelFileError if it is missing, damaged or something else."""
        path = Path(path)
        if not path.is_file():
            raise ModelFileError(f"no bridge at {path}: fit one with `imagebind-node bridge fit`")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ModelFileError(f"{path} is not a bridge (format {metadata.get('format')!r})")
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
            card = json.loads(metadata["card"])
            source, target = (
                Space(card[end]["space"], int(card[end]["dim"])) for end in ("source", "target")
            )
            means = {
                parse_modality(name.removeprefix(_MEAN)): tensor
                for name, tensor in tensors.items()
                if name.startswith(_MEAN)
            }
            return cls(source, target, tensors["matrix"], means, tensors["target_mean"], card)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{path} is damaged or not a bridge: {error}") from None
