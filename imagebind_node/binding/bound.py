"""A bound tower on disk: a folder with `tower.safetensors` and `card.yaml`, and what it takes to use it.

The card says the modality, the space and the frozen tower that it was bound to, the recipe's `tower` and
`preprocessing`, the hash of the weights, which data it was trained on under which licence, and how well it did on
sessions that it never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.binding.preprocessing import Preprocessing, build_preprocessing
from imagebind_node.binding.towers import build_tower
from imagebind_node.embedding import Space
from imagebind_node.encoders.base import StreamingFrontEnd
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.model_store import sha256, write_atomically
from imagebind_node.samples import Modality, Sample, new_modality

FORMAT = "imagebind_node.bound/1"
CARD, WEIGHTS = "card.yaml", "tower.safetensors"


class BoundTower:
    """A tower that was bound: samples of `modality` -> unit vectors of `space`. Made by `load_bound`."""

    def __init__(
        self, card: Mapping[str, Any], tower: nn.Module, preprocessing: Preprocessing, device: str
    ) -> None:
        self.card = card
        self.modality: Modality = new_modality(card["modality"])
        self.space = Space(card["space"]["id"], int(card["space"]["dim"]))
        self.window = preprocessing.window
        self._tower, self._preprocessing, self._device = tower, preprocessing, device

    def preprocess(self, sample: Sample) -> Tensor:
        """The tower's input, float32, without batch dimension. Raises InvalidInputError for a bad sample."""
        made = self._preprocessing.function(sample).float()
        if not bool(torch.isfinite(made).all()):
            raise InvalidInputError(f"the {self.modality} measurement gives NaN or infinite values")
        return made

    @torch.inference_mode()
    def forward(self, batch: Tensor) -> Tensor:
        """Stacked inputs (B, ...) -> float32 (B, D), unit rows. Computes in float32."""
        try:
            rows = self._tower(batch.to(self._device)).float()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise InvalidInputError(
                f"input of shape {tuple(batch.shape[1:])} does not fit the {self.modality} tower: {reason}"
            ) from None
        return F.normalize(rows, dim=-1)

    def front_end(self) -> StreamingFrontEnd | None:
        """For a stream of sound; None for any other modality."""
        if self.modality is not Modality.AUDIO:
            return None
        if self._preprocessing.front_end is not None:
            return self._preprocessing.front_end()
        from imagebind_node.binding.sliding_window import SlidingWindow

        return SlidingWindow(self.preprocess, self.window)


def save_bound(folder: Path, tower: nn.Module, card: Mapping[str, Any]) -> None:
    """Write a bound checkpoint; `card` lacks only format and files. The card is written last."""
    weights = {name: value.detach().cpu().contiguous() for name, value in tower.state_dict().items()}
    path = folder / WEIGHTS
    write_atomically(path, lambda temporary: save_file(weights, temporary))
    files = {WEIGHTS: {"sha256": sha256(path), "size": path.stat().st_size}}
    text = yaml.safe_dump({"format": FORMAT, **card, "files": files}, sort_keys=False, allow_unicode=True)
    write_atomically(folder / CARD, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_bound_card(folder: str | Path) -> dict[str, Any]:
    """The card of a bound checkpoint; its modality is known to `parse_modality` from then on.

    Raises ModelFileError if it is missing or damaged.
    """
    path = Path(folder) / CARD
    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise ModelFileError(f"{path} is not the card of a bound tower ({FORMAT})")
        _require(card)
        new_modality(card["modality"])
    except OSError as error:
        raise ModelFileError(
            f"{folder} holds no bound tower ({error.strerror}): give the folder `bound` that imagebind-node bind wrote"
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    return card


def load_bound(folder: str | Path, device: str = "cpu") -> BoundTower:
    """Read a bound checkpoint. Raises ModelFileError if files are missing, altered or damaged, InvalidInputError if
    the code that registers its tower or preprocessing is not at hand."""
    card = read_bound_card(folder)
    path = Path(folder) / WEIGHTS
    expected = card["files"][WEIGHTS]["sha256"]
    try:
        found = sha256(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from None
    if found != expected:
        raise ModelFileError(
            f"{path} is not the file of its card: sha256 {found}, expected {expected}; copy it again"
        )
    try:
        tower = build_tower(card["tower"], int(card["space"]["dim"]))
        tower.load_state_dict(load_file(path))
    except (RuntimeError, MemoryError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelFileError(f"{path} does not fit the tower of its card: {reason}") from None
    tower.eval().requires_grad_(False)
    return BoundTower(card, tower.to(device), build_preprocessing(card["preprocessing"]), device)


def _require(card: dict[str, Any]) -> None:
    """Raise KeyError or TypeError for a card that lacks what loading needs."""
    checks: dict[str, Callable[[], object]] = {
        "modality": lambda: card["modality"].encode(),
        "space": lambda: (card["space"]["id"].encode(), int(card["space"]["dim"])),
        "tower": lambda: card["tower"]["name"].encode(),
        "preprocessing": lambda: card["preprocessing"],
        "files": lambda: card["files"][WEIGHTS]["sha256"].encode(),
    }
    for name, check in checks.items():
        try:
            check()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise KeyError(f"entry {name} is missing or of a wrong kind") from None
