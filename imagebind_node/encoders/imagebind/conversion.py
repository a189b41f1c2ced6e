"""Weights of one tower in one precision: prepared once, kept in the cache as safetensors, loaded into a Tower."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

import torch
from torch import Tensor

from imagebind_node.encoders import runtime
from imagebind_node.encoders.imagebind.checkpoint import check_checkpoint, open_checkpoint, tower_tensors
from imagebind_node.encoders.imagebind.config import ImageBindConfig
from imagebind_node.encoders.imagebind.model import Tower
from imagebind_node.encoders.imagebind.stems import VisionStem
from imagebind_node.encoders.tensor_file import read_header, read_tensors
from imagebind_node.errors import ModelFileError
from imagebind_node.model_store import write_atomically
from imagebind_node.samples import Modality

logger = logging.getLogger(__name__)
FORMAT = "imagebind_node tower 1"
# Which LayerNorm feeds which layer of a block, for equalisation before quantising.
_FED_BY_NORM = {"attn.in_proj": "norm_1", "mlp.fc1": "norm_2"}


def prepare(tensors: dict[str, Tensor], precision: str) -> dict[str, Tensor]:
    """Convert a tower's float weights to what `load_tower` wants in `precision`."""
    dtype = runtime.activation_dtype(precision)
    # The scale of the output is no part of the network's arithmetic: it stays exact.
    ready = {k: v.detach().to(torch.float32 if k == "log_logit_scale" else dtype) for k, v in tensors.items()}
    if precision != "int8":
        return ready
    for name in [key for key in tensors if key.startswith("trunk.blocks.") and key.endswith(".weight")]:
        layer = name.removesuffix(".weight")
        block, kind = ".".join(layer.split(".")[:3]), ".".join(layer.split(".")[3:])
        if kind.startswith("norm"):
            continue
        weight = tensors[name].detach().float()
        if kind in _FED_BY_NORM:
            norm = f"{block}.{_FED_BY_NORM[kind]}"
            gain, bias, weight = runtime.equalise(tensors[f"{norm}.weight"], tensors[f"{norm}.bias"], weight)
            ready[f"{norm}.weight"], ready[f"{norm}.bias"] = gain.to(dtype), bias.to(dtype)
        ready[name], ready[f"{layer}.weight_scale"] = runtime.quantise_weight(weight)
    return ready


def load_tower(
    modality: Modality, config: ImageBindConfig, tensors: dict[str, Tensor], precision: str, device: str
) -> Tower:
    """Build a tower around prepared tensors without a second copy of them. `tensors` is emptied."""
    with torch.device("meta"):
        tower = Tower(modality, config.towers[modality], config.dim, config.frames)
        if precision == "int8":
            runtime.replace_linears(tower.trunk)
    try:
        tower.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise ModelFileError(f"prepared {modality} weights do not fit the network: {error}") from error
    tensors.clear()
    tower.requires_grad_(False).eval()
    if isinstance(tower.preprocessor, VisionStem):
        tower.preprocessor.fold()
    runtime.pack_linears(tower.trunk, precision, device)
    return tower.to(device)


def cached_tower(
    source: Path | None,
    folder: Path,
    digest: str,
    config: ImageBindConfig,
    modality: Modality,
    precision: str,
) -> dict[str, Tensor]:
    """Prepared tensors of one tower from the cache `folder`, converting from `source` where they are missing."""
    target = folder / digest[:16] / f"{modality}.{precision}.safetensors"
    if not _usable(target, digest, config, modality, precision):
        plain = folder / digest[:16] / f"{modality}.fp32.safetensors"
        if source is not None:
            logger.info("converting the %s tower of %s to %s, once", modality, source, precision)
            everything = open_checkpoint(source)
            check_checkpoint(everything, config, [modality], source)
            tensors = tower_tensors(everything, config, modality)
        elif precision != "fp32" and _usable(plain, digest, config, modality, "fp32"):
            tensors = dict(read_tensors(plain))
        else:
            raise ModelFileError(
                f"the {modality} tower was never converted to {precision} and the checkpoint is gone: "
                f"put imagebind_huge.pth back into {folder.parent}"
            )
        _save(prepare(tensors, precision), target, digest, config, modality, precision)
        del tensors
    if precision == "fp32":
        return open_checkpoint(target)
    return dict(read_tensors(target))


def _metadata(digest: str, config: ImageBindConfig, modality: Modality, precision: str) -> dict[str, str]:
    return {
        "format": FORMAT,
        "weights_sha256": digest,
        "config": json.dumps(config.constructor, sort_keys=True),
        "modality": str(modality),
        "precision": precision,
    }


def _usable(path: Path, digest: str, config: ImageBindConfig, modality: Modality, precision: str) -> bool:
    """Whether a converted file is whole and made from these weights; a broken one is made again."""
    if not path.is_file():
        return False
    try:
        found = read_header(path)[1]
    except ModelFileError as error:
        logger.warning("converting again: %s", error)
        return False
    return found == _metadata(digest, config, modality, precision)


def _save(
    tensors: dict[str, Tensor],
    path: Path,
    digest: str,
    config: ImageBindConfig,
    modality: Modality,
    precision: str,
) -> None:
    from safetensors.torch import save_file

    metadata = _metadata(digest, config, modality, precision)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary, metadata))


def digest_of(path: Path, index: Path) -> str:
    """SHA-256 of a file, remembered in `index` by path, size and time of change: 4.8 GB take seconds to read."""
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    known = read_index(index)
    if key not in known:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
        known[key] = digest.hexdigest()
        text = json.dumps(known, indent=1)
        write_atomically(index, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return known[key]


def read_index(index: Path) -> dict[str, str]:
    """The remembered digests; a damaged index counts as empty."""
    try:
        known = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str) and len(v) == 64 and os.sep in k}
