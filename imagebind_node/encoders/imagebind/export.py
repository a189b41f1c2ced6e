"""ONNX export of single towers, for runtimes other than PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imagebind_node.encoders.imagebind.config import (
    IMAGE_SIDE,
    IMU_CHANNELS,
    IMU_STEPS,
    MEL_BINS,
    MEL_FRAMES,
    TEXT_TOKENS,
)
from imagebind_node.encoders.imagebind.encoder import ImageBindEncoder
from imagebind_node.encoders.imagebind.model import Tower
from imagebind_node.errors import InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.samples import Modality

TOLERANCE = 1e-3
_SHAPES = {
    Modality.VISION: (3, IMAGE_SIDE, IMAGE_SIDE),
    Modality.AUDIO: (1, MEL_BINS, MEL_FRAMES),
    Modality.DEPTH: (1, IMAGE_SIDE, IMAGE_SIDE),
    Modality.THERMAL: (1, IMAGE_SIDE, IMAGE_SIDE),
    Modality.IMU: (IMU_CHANNELS, IMU_STEPS),
    Modality.TEXT: (TEXT_TOKENS,),
}


class _Normalised(nn.Module):
    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, batch: Tensor) -> Tensor:
        return F.normalize(self.tower(batch), dim=-1)


def example_input(modality: Modality, batch: int = 2) -> Tensor:
    """A made-up batch of the right shape: float32, or int64 token numbers for text."""
    shape = (batch, *_SHAPES[modality])
    if modality is Modality.TEXT:
        tokens = torch.zeros(shape, dtype=torch.int64)
        tokens[:, 0], tokens[:, 1], tokens[:, 2] = 49406, torch.arange(320, 320 + batch), 49407
        return tokens
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def export_onnx(
    encoder: ImageBindEncoder, modality: str | Modality, path: str | Path, check: bool = True
) -> Path:
    """Write one tower as ONNX (opset 18): input "batch", any number of inputs of one clip each; output "unit_vector",
    float32 (B, dim), L2-normalised.

    Weights lie in PATH.data beside the file. Average the normalised embeddings of clips, as `forward` does. check:
    run the file in ONNX Runtime and compare with PyTorch. Raises MissingDependencyError without the extra `onnx`,
    InvalidInputError unless the encoder was loaded on the CPU with precision fp32, ModelFileError if the outputs
    differ or the file cannot be written.
    """
    modality = Modality(modality)
    for package in ("onnx", "onnxscript", *(("onnxruntime",) if check else ())):
        if find_spec(package) is None:
            raise MissingDependencyError(f"ONNX export needs {package}: pip install 'imagebind_node[onnx]'")
    if encoder.precision != "fp32" or encoder.device != "cpu":
        raise InvalidInputError(
            f"ONNX export needs an encoder with precision fp32 on the CPU, this one has {encoder.precision} "
            f"on {encoder.device}"
        )
    encoder.require(modality)
    path = Path(path)
    tower = encoder.network.tower(modality)
    if tower.token_merging:
        raise InvalidInputError("ONNX export needs token merging switched off: set_token_merging(0)")
    sample = example_input(modality)
    tower.trim_text = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(_Normalised(tower).eval(), sample, path)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        tower.trim_text = True
    if check:
        _compare(path, modality, lambda batch: encoder.forward(modality, batch))
    return path


def _write(network: nn.Module, sample: Tensor, path: Path) -> None:
    with torch.no_grad():
        torch.onnx.export(
            network,
            (sample,),
            str(path),
            input_names=["batch"],
            output_names=["unit_vector"],
            dynamic_shapes={"batch": {0: torch.export.Dim("inputs", min=1, max=4096)}},
            opset_version=18,
            dynamo=True,
            external_data=True,
            verbose=False,
        )


def _compare(path: Path, modality: Modality, forward: Callable[[Tensor], Tensor]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = example_input(modality, 3)
    (found,) = session.run(None, {"batch": batch.numpy()})
    expected = forward(batch).numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise ModelFileError(
            f"{path}: ONNX Runtime differs from PyTorch by {difference:.2g}, do not use the file"
        )
