"""Load a detector by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from imagebind_node.detection.base import Detector
from imagebind_node.encoders.base import Encoder
from imagebind_node.errors import InvalidInputError

Factory = Callable[..., Detector]
_factories: dict[str, Factory] = {}
# Imported when first asked for: a robot that runs one detector pays for no other.
_builtin = {
    "concept": "imagebind_node.detection.concept",
    "dense": "imagebind_node.detection.dense",
    "crops": "imagebind_node.detection.crops",
    "owlvit": "imagebind_node.detection.owlvit",
}


def register_detector(name: str) -> Callable[[Factory], Factory]:
    """Register a factory `f(encoder, **options) -> Detector` under `name`."""

    def register(factory: Factory) -> Factory:
        _factories[name] = factory
        return factory

    return register


def detector_names() -> list[str]:
    """Names that load_detector accepts."""
    return sorted({*_builtin, *_factories})


def default_detector(model: str) -> str:
    """The detector that goes with an encoder: `concept` has its own, every ImageBind is read densely."""
    return "concept" if model == "concept" else "dense"


def load_detector(name: str, encoder: Encoder | None = None, **options: Any) -> Detector:
    """Build the detector called `name` on top of `encoder` (`owlvit` brings its own weights and takes None).

    options: the keyword arguments of the backend's factory, see docs/detection.md. Raises InvalidInputError
    for an unknown name or option, UnsupportedModalityError if the encoder lacks the vision tower,
    ModelFileError for missing weights and MissingDependencyError for a missing extra.
    """
    if name not in detector_names():
        raise InvalidInputError(f"unknown detector {name!r}: use one of {', '.join(detector_names())}")
    if name not in _factories:
        import_module(_builtin[name])
    try:
        return _factories[name](encoder, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InvalidInputError(f"detector {name!r}: {error}") from None
