"""Networks of timm (pytorch-image-models), with the preprocessing that each was trained with."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from imagebind_node.errors import InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.evaluation.vision_models.torch_hub import embedder

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]
_MISSING_OPERATOR = re.compile(r"operator torchvision::(\w+) does not exist")
_operators = torch.library.Library("torchvision", "FRAGMENT")


def load_timm(name: str, trained: bool, device: str) -> Embed:
    """`name` as timm.create_model takes it: a name of timm.list_models() (weights are fetched from Hugging Face
    unless they are cached), hf-hub:REPOSITORY, or local-dir:FOLDER. trained: False for random weights, always the same.
    Raises MissingDependencyError, InvalidInputError for an unknown name, ModelFileError.
    """
    timm = _timm()
    if ":" not in name and not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:8]}*")[:5])
        raise InvalidInputError(f"timm has no model {name!r}" + (f"; it has {near}" if near else ""))
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            network = timm.create_model(name, pretrained=trained, num_classes=0)
        settings = timm.data.resolve_model_data_config(network)
        prepare = timm.data.create_transform(**settings, is_training=False)
    except Exception as error:
        raise ModelFileError(f"timm cannot make {name!r}: {' '.join(str(error).split())}") from error
    return embedder(network, lambda picture: prepare(Image.fromarray(picture)), device)


def _timm() -> Any:
    for _ in range(8):
        try:
            import timm

            return timm
        except ImportError as error:
            raise MissingDependencyError(
                f"timm models need: pip install 'imagebind_node[timm]' ({error})"
            ) from None
        except RuntimeError as error:
            _declare_operator(error)
    raise MissingDependencyError(
        "torchvision, which timm needs, does not fit this torch: install matching versions"
    )


def _declare_operator(error: RuntimeError) -> None:
    """PyPI's torchvision is compiled for CUDA: beside a torch without CUDA its operators are missing and it refuses to
    be imported. timm only needs its transforms, which have none: a declaration without a kernel lets it pass."""
    found = _MISSING_OPERATOR.search(str(error))
    if found is None:
        raise MissingDependencyError(f"timm cannot be imported: {' '.join(str(error).split())}") from error
    _operators.define(f"{found[1]}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "timm")]:
        del sys.modules[module]
