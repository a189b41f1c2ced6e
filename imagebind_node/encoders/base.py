"""What every model family offers, and how to load one by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, UnsupportedModalityError
from imagebind_node.preprocessing.thermal import ThermalRange
from imagebind_node.samples import Modality, Sample, parse_modality

PRECISIONS = ("fp32", "bf16", "fp16", "int8")


class StreamingFrontEnd(Protocol):
    """Preprocessing of an endless signal that computes only what a new hop adds."""

    sample_rate: int
    """Rate in Hz that `push` expects (mono)."""

    def push(self, samples: np.ndarray) -> None:
        """Append float32 (N,) samples."""

    def input(self) -> torch.Tensor | None:
        """Model input for the newest window, without batch dimension; None until a whole window was pushed."""

    def reset(self) -> None:
        """Forget everything, after a gap in the signal."""


class Encoder(ABC):
    """Turns samples into embeddings of one space. Safe to call from one thread at a time.

    name: registered name of the model; space: where its embeddings live; modalities: the loaded towers;
    thermal_range: what becomes black and white in thermal pictures, may be set at any time.
    """

    name: str
    space: Space
    modalities: frozenset[Modality]
    thermal_range = ThermalRange()

    @abstractmethod
    def preprocess(self, modality: Modality, sample: Sample) -> torch.Tensor:
        """Turn one sample into the model's input, without batch dimension."""

    @abstractmethod
    def forward(self, modality: Modality, batch: torch.Tensor) -> torch.Tensor:
        """Run one tower. `batch`: preprocessed inputs, stacked. Returns float32 (B, dim), L2-normalised."""

    def window(self, modality: Modality) -> float:
        """Seconds of signal that one streaming embedding covers; 0 for still pictures and text."""
        return 0.0

    def shortest_window(self, modality: Modality) -> float:
        """Seconds of signal that suffice for the first embeddings of a stream; their `window` says how long it was."""
        return self.window(modality)

    def encode(self, modality: str | Modality, samples: Sequence[Any]) -> list[Embedding]:
        """Embed samples, arrays or paths of one modality.

        Raises UnsupportedModalityError if the tower is not loaded, InvalidInputError on a bad sample.
        """
        from imagebind_node.files import as_sample

        modality = parse_modality(modality)
        self.require(modality)
        if isinstance(samples, (str, Path)):
            raise InvalidInputError("encode() takes a list of samples: put the single one in brackets")
        ready = [as_sample(sample, modality) for sample in samples]
        return self._encode(modality, ready) if ready else []

    def require(self, modality: Modality) -> None:
        """Raise UnsupportedModalityError unless the tower for `modality` is loaded."""
        if modality not in self.modalities:
            loaded = ", ".join(sorted(m.value for m in self.modalities))
            raise UnsupportedModalityError(
                f"model {self.name!r} has no {modality} tower loaded (it has: {loaded})"
            )

    def front_end(self, modality: Modality) -> StreamingFrontEnd | None:
        """A new incremental front end for a stream of `modality`, or None if there is none."""
        return None

    def encode_inputs(
        self, modality: Modality, inputs: list[torch.Tensor], samples: list[Sample]
    ) -> list[Embedding]:
        """Embed preprocessed inputs; `samples` give stamp and frame_id. Override to add evidence."""
        with torch.inference_mode():
            vectors = self.forward(modality, torch.stack(inputs)).cpu().numpy()
        return [self._wrap(modality, sample, vector) for sample, vector in zip(samples, vectors)]

    def _encode(self, modality: Modality, samples: list[Sample]) -> list[Embedding]:
        inputs = [self.preprocess(modality, sample) for sample in samples]
        return self.encode_inputs(modality, inputs, samples)

    def _wrap(self, modality: Modality, sample: Sample, vector: Any, **evidence: Any) -> Embedding:
        fields: dict[str, Any] = {"window": self.window(modality), **evidence}
        return Embedding(
            vector=vector,
            modality=modality,
            space=self.space,
            stamp=sample.stamp,
            frame_id=sample.frame_id,
            **fields,
        )


Factory = Callable[..., Encoder]
_factories: dict[str, Factory] = {}
# Built-in families are imported when first asked for, so that `concept` never pays for ImageBind and vice versa.
_builtin = {
    "concept": "imagebind_node.encoders.concept.model",
    "imagebind_huge": "imagebind_node.encoders.imagebind.encoder",
}


def register_encoder(name: str) -> Callable[[Factory], Factory]:
    """Register a factory `f(*, checkpoint, modalities, device, precision) -> Encoder` under `name`."""

    def register(factory: Factory) -> Factory:
        _factories[name] = factory
        return factory

    return register


def encoder_names() -> list[str]:
    """Names that load_encoder accepts."""
    return sorted({*_builtin, *_factories})


def load_encoder(
    name: str = "concept",
    *,
    checkpoint: str | Path | None = None,
    modalities: Iterable[str | Modality] | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    bound: Sequence[str | Path] = (),
) -> Encoder:
    """Load a model by name; only the towers of `modalities` are built and read (default: all it has).

    precision: fp32, bf16, fp16 (CUDA) or int8. bound: folders of towers that were bound to the model's space
    (docs/binding.md); they add modalities or take the place of the model's own, and compute in float32. Raises
    InvalidInputError for an unknown name or setting, ModelFileError for missing or damaged weights,
    UnsupportedModalityError for a tower that it does not have, SpaceMismatchError for a bound tower of another space.
    """
    if name not in encoder_names():
        raise InvalidInputError(f"unknown model {name!r}: use one of {', '.join(encoder_names())}")
    if precision not in PRECISIONS:
        raise InvalidInputError(f"unknown precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidInputError(f"device {device!r} asked for, but PyTorch sees no CUDA GPU: use device cpu")
    if name not in _factories:
        import_module(_builtin[name])
    if bound:
        return _load_extended(name, checkpoint, modalities, device, precision, bound)
    wanted = None if modalities is None else frozenset(parse_modality(m) for m in modalities)
    return _factories[name](checkpoint=checkpoint, modalities=wanted, device=device, precision=precision)


def _load_extended(
    name: str,
    checkpoint: str | Path | None,
    modalities: Iterable[str | Modality] | None,
    device: str,
    precision: str,
    bound: Sequence[str | Path],
) -> Encoder:
    from imagebind_node.binding.bound import load_bound, read_bound_card
    from imagebind_node.encoders.extended import ExtendedEncoder

    places = {parse_modality(read_bound_card(folder)["modality"]): folder for folder in bound}
    if len(places) < len(bound):
        raise InvalidInputError("two bound towers are of one modality: give one of them")
    wanted = None if modalities is None else frozenset(parse_modality(m) for m in modalities)
    base = load_encoder(
        name,
        checkpoint=checkpoint,
        modalities=None if wanted is None else wanted - frozenset(places),
        device=device,
        precision=precision,
    )
    chosen = [folder for modality, folder in places.items() if wanted is None or modality in wanted]
    return ExtendedEncoder(base, [load_bound(folder, device) for folder in chosen])
