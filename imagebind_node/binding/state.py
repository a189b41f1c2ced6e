"""The whole state of a training in one safetensors file: weights, optimiser, loss scaling. No pickle, so no code.

Random numbers need no state: every batch, augmentation and dropout draws from a seed made of the recipe's and the
step's number.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.model_store import write_atomically

FORMAT = "imagebind_node.binding_state/1"
_NAME = re.compile(r"step_(\d{9})\.safetensors")


def save_state(
    folder: Path,
    step: int,
    tower: nn.Module,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    facts: dict[str, Any],
    keep: int,
) -> Path:
    """Write the state after `step` steps, whole or not at all, and remove all but the `keep` newest."""
    optimizer_state = optimizer.state_dict()
    tensors = {f"tower.{name}": value for name, value in tower.state_dict().items()}
    tensors |= {f"loss.{name}": value for name, value in loss.state_dict().items()}
    for index, entry in optimizer_state["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in entry.items()}
    metadata = {
        "format": FORMAT,
        "step": step,
        "scaler": scaler.state_dict(),
        "groups": optimizer_state["param_groups"],
        "facts": facts,
    }
    ready = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    path = folder / f"step_{step:09d}.safetensors"
    header = {"format": FORMAT, "state": json.dumps(metadata)}
    write_atomically(path, lambda temporary: save_file(ready, temporary, metadata=header))
    for old in _states(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def newest_state(folder: Path) -> Path | None:
    """The state with the highest step, None if there is none."""
    states = _states(folder)
    return states[-1] if states else None


def load_state(
    path: Path,
    tower: nn.Module,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    facts: dict[str, Any],
) -> int:
    """Put a saved state back and return its number of steps.

    Raises InvalidInputError if it is of another recipe or other data (`facts` differ), ModelFileError if damaged.
    """
    tensors, metadata = _read(path)
    for name, value in facts.items():
        if metadata["facts"].get(name) != value:
            raise InvalidInputError(
                f"{path} is of another {name}: resume with the same, or train anew into another folder"
            )
    try:
        tower.load_state_dict(_below(tensors, "tower."))
        loss.load_state_dict(_below(tensors, "loss."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": metadata["groups"]})
        if scaler.is_enabled():
            scaler.load_state_dict(metadata["scaler"])
        return int(metadata["step"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} does not fit the tower of this recipe: {error}") from None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ModelFileError(f"{path} is not the state of a training ({header.get('format')!r})")
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        metadata = json.loads(header["state"])
        metadata["step"], metadata["groups"], metadata["scaler"], metadata["facts"].get
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path} is damaged: {error}; delete it to resume from the one before") from None
    return tensors, metadata


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _states(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step_*.safetensors") if _NAME.fullmatch(path.name))
