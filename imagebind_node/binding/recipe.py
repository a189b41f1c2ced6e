"""A recipe: everything that decides how a sense is bound, as YAML."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from imagebind_node.binding.views import Views
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.documents import read_yaml

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """The frozen tower. model, checkpoint: as for `load_encoder`. modality: what it embeds of each pair: vision (the
    picture) or text (the fact `text`) to bind to, or the recipe's own modality to distil that model's tower into a
    smaller one."""

    model: str = "concept"
    modality: str = "vision"
    checkpoint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Loss:
    """See `BindingLoss`."""

    temperature: float = 0.07
    learn_temperature: bool = False
    contrastive: float = 1.0
    cosine: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """Schedule, optimiser (AdamW) and bookkeeping.

    batch: rows that are each other's negatives, over all processes, at most the number of pairs. chunk: rows that
    pass the tower at once (gradient caching below `batch`; 0: all). accumulate: batches a step of the optimiser.
    epochs: passes over the data, each repeating it `replication` times. warmup_epochs: linear warm-up, then the
    learning rate falls as a cosine to `final_learning_rate`. clip: largest gradient norm, 0: none. precision: fp32,
    bf16 or fp16 (with loss scaling). workers: processes that read data, 0: none besides. validation: share of the
    groups held out to watch. checkpoint_every: epochs. keep: how many states to keep on disk.
    """

    batch: int = 64
    chunk: int = 0
    accumulate: int = 1
    epochs: float = 10
    replication: float = 1.0
    warmup_epochs: float = 1.0
    learning_rate: float = 1e-3
    final_learning_rate: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip: float = 1.0
    precision: str = "fp32"
    seed: int = 0
    workers: int = 0
    validation: float = 0.0
    checkpoint_every: float = 1.0
    keep: int = 2

    def __post_init__(self) -> None:
        checks = {
            "batch, accumulate and keep must be at least 1 (batch 2)": self.batch >= 2
            and min(self.accumulate, self.keep) >= 1,
            "chunk and workers must not be negative": min(self.chunk, self.workers) >= 0,
            "epochs, replication, learning_rate and checkpoint_every must be above 0": min(
                self.epochs, self.replication, self.learning_rate, self.checkpoint_every
            )
            > 0,
            "warmup_epochs, final_learning_rate, weight_decay and clip must not be negative": min(
                self.warmup_epochs, self.final_learning_rate, self.weight_decay, self.clip
            )
            >= 0,
            "betas must be two numbers from 0 to below 1": len(self.betas) == 2
            and all(0 <= beta < 1 for beta in self.betas),
            f"precision must be one of {', '.join(PRECISIONS)}": self.precision in PRECISIONS,
            "validation must be from 0 to below 1": 0 <= self.validation < 1,
        }
        for message, fine in checks.items():
            if not fine:
                raise InvalidInputError(f"recipe, training: {message}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """modality: the new sense, one of ImageBind's or a name of your own. preprocessing: name, or a mapping with
    `name` and options (see preprocessing.py). tower: `name` and options (see towers.py). augmentations: each a
    mapping with `name` and options (see augmentations.py), in order. views: augmented versions of the pictures.
    note: where the numbers are from."""

    modality: str
    tower: Mapping[str, Any]
    preprocessing: str | Mapping[str, Any] = "array"
    anchor: Anchor = field(default_factory=Anchor)
    loss: Loss = field(default_factory=Loss)
    augmentations: tuple[Mapping[str, Any], ...] = ()
    views: Views = field(default_factory=Views)
    training: Training = field(default_factory=Training)
    note: str = ""

    def __post_init__(self) -> None:
        if self.views.count and self.anchor.modality != "vision":
            raise InvalidInputError(
                f"recipe: views are of pictures, but the anchor is {self.anchor.modality}"
            )

    @property
    def plain(self) -> dict[str, Any]:
        """As YAML and JSON hold it."""
        made = asdict(self)
        made["augmentations"] = [dict(entry) for entry in self.augmentations]
        made["training"]["betas"] = list(self.training.betas)
        made["views"] |= {"scale": list(self.views.scale), "ratio": list(self.views.ratio)}
        return made


def parse_recipe(document: Any, where: str = "recipe") -> Recipe:
    """A recipe from plain mappings. Raises InvalidInputError naming the entry that is unknown or of a wrong kind."""
    return _parse(Recipe, document, where)


def read_recipe(path: str | Path) -> Recipe:
    """A recipe from a YAML file, or by the name of one in config/binding. Raises InvalidInputError."""
    path = _place(path)
    return parse_recipe(read_yaml(path, "recipe"), str(path))


def bundled_recipes() -> dict[str, Path]:
    """Recipes that ship with the package, by name."""
    prefixes = [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))]
    shares = [Path(prefix) / "share" / "imagebind_node" for prefix in prefixes]
    for place in [Path(__file__).resolve().parents[2], *shares]:
        found = sorted((place / "config" / "binding").glob("*.yaml"))
        if found:
            return {path.stem: path for path in found}
    return {}


def _place(path: str | Path) -> Path:
    if Path(path).is_file():
        return Path(path)
    bundled = bundled_recipes()
    if str(path) in bundled:
        return bundled[str(path)]
    raise InvalidInputError(f"no recipe {path}: give a file, or one of {', '.join(bundled)}")


def _parse(kind: Any, document: Any, where: str) -> Any:
    if not isinstance(document, Mapping):
        raise InvalidInputError(f"{where} must be a mapping, got {type(document).__name__}")
    hints = get_type_hints(kind)
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(str(name) for name in set(document) - known)
    if unknown:
        raise InvalidInputError(
            f"{where} has unknown entries {', '.join(unknown)}: use {', '.join(sorted(known))}"
        )
    values = {name: _value(hints[name], value, f"{where}, {name}") for name, value in document.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidInputError(f"{where} is incomplete: {error}") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _parse(hint, value, where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, bool, str):
        if type(value) is hint:
            return value
        raise InvalidInputError(f"{where} must be {hint.__name__}, got {value!r}")
    if hint is float:
        raise InvalidInputError(f"{where} must be a number, got {value!r}")
    if isinstance(value, list):
        return tuple(value)
    return value
