"""Opening checkpoints: the official imagebind_huge.pth, or a safetensors file with the same names.

A .pth file is a pickle and could run code. It is read with `weights_only=True`, which refuses everything but
tensors and plain containers, and memory-mapped, so that only the towers asked for are read from disk.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from imagebind_node.encoders.imagebind.config import TEXT_TOKENS, ImageBindConfig
from imagebind_node.encoders.imagebind.model import Tower, official_name
from imagebind_node.encoders.tensor_file import map_tensors
from imagebind_node.errors import ModelFileError
from imagebind_node.samples import Modality

TEXT_MASK = "modality_preprocessors.text.mask"
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def expected_shapes(config: ImageBindConfig, modality: Modality) -> dict[str, tuple[int, ...]]:
    """Official names and shapes of everything that a checkpoint must hold for one tower."""
    with torch.device("meta"):
        tower = Tower(modality, config.towers[modality], config.dim, config.frames)
    shapes = {official_name(modality, name): tuple(value.shape) for name, value in tower.state_dict().items()}
    if modality is Modality.TEXT:
        shapes[TEXT_MASK] = (TEXT_TOKENS, TEXT_TOKENS)
    return shapes


def open_checkpoint(path: Path) -> dict[str, Tensor]:
    """All tensors by official name, mapped and not yet read. Raises ModelFileError, in one line, on any other file."""
    if not path.exists():
        raise ModelFileError(f"model file {path} does not exist")
    if not path.is_file():
        raise ModelFileError(f"model file {path} is not a file")
    tensors = map_tensors(path) if path.suffix == ".safetensors" else _open_pickle(path)
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.dtype not in _FLOATS:
            kind = str(tensor.dtype) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ModelFileError(
                f"{path} is no ImageBind checkpoint: entry {str(name)!r} is {kind}, not a float tensor"
            )
    return tensors


def _open_pickle(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise ModelFileError(
            f"{path} is not a PyTorch checkpoint, or it is cut off ({path.stat().st_size} bytes): fetch it again"
        )
    try:
        loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path} was refused: it holds more than tensors and could run code; do not use it"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ModelFileError(f"{path} is damaged or no PyTorch checkpoint: {_first_line(error)}") from error
    if not isinstance(loaded, dict):
        raise ModelFileError(
            f"{path} is no ImageBind checkpoint: it holds a {type(loaded).__name__}, not a state dict"
        )
    return loaded


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def complete_towers(tensors: dict[str, Tensor], config: ImageBindConfig) -> frozenset[Modality]:
    """Towers of which the checkpoint holds anything."""
    return frozenset(m for m in Modality if any(f".{m}." in name for name in tensors))


def check_checkpoint(
    tensors: dict[str, Tensor], config: ImageBindConfig, modalities: Iterable[Modality], path: Path
) -> None:
    """Raise ModelFileError unless all of `modalities` are there in full, in the right shapes, and nothing unknown."""
    expected = {modality: expected_shapes(config, modality) for modality in Modality}
    known = set().union(*expected.values())
    unknown = sorted(set(tensors) - known)
    if unknown:
        raise ModelFileError(
            f"{path} is no checkpoint of this ImageBind: {len(unknown)} unknown entries, for example {unknown[0]}"
        )
    for modality in modalities:
        missing = sorted(set(expected[modality]) - set(tensors))
        if missing:
            raise ModelFileError(
                f"{path} lacks {len(missing)} entries of the {modality} tower, for example {missing[0]}"
            )
        for name, shape in expected[modality].items():
            if tuple(tensors[name].shape) != shape:
                raise ModelFileError(
                    f"{path}: entry {name} has shape {tuple(tensors[name].shape)}, this configuration needs {shape}"
                )
    if Modality.TEXT in modalities:
        mask = tensors[TEXT_MASK].float()
        if not torch.equal(mask, torch.full_like(mask, float("-inf")).triu_(1)):
            raise ModelFileError(
                f"{path}: {TEXT_MASK} is not the causal mask that the text tower computes with"
            )


def tower_tensors(
    tensors: dict[str, Tensor], config: ImageBindConfig, modality: Modality
) -> dict[str, Tensor]:
    """The tensors of one tower by this package's own parameter names (see `Tower`)."""
    with torch.device("meta"):
        tower = Tower(modality, config.towers[modality], config.dim, config.frames)
    return {name: tensors[official_name(modality, name)] for name in tower.state_dict()}
