"""Load a detector by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from imagebind_node.detection.base import Detector
from imagebind_node.encoders.base import Encoder
from imagebind_node.encoders.extended import ExtendedEncoder
from imagebind_node.errors import InvalidInputError

SHIPPED = "shipped"
Factory = Callable[..., Detector]
AnyFactory = TypeVar("AnyFactory", bound=Factory)
_factories: dict[str, Factory] = {}
# Imported when first asked for: a robot that runs one detector pays for no other.
_builtin = {
    "concept": "imagebind_node.detection.concept",
    "dense": "imagebind_node.detection.dense",
    "crops": "imagebind_node.detection.crops",
    "owlvit": "imagebind_node.detection.owlvit",
}


def register_detector(name: str) -> Callable[[AnyFactory], AnyFactory]:
    """Register a factory `f(encoder, **options) -> Detector` under `name`."""

    def register(factory: AnyFactory) -> AnyFactory:
        _factories[name] = factory
        return factory

    return register


def detector_names() -> list[str]:
    """Names that load_detector accepts."""
    return sorted({*_builtin, *_factories})


def default_detector(model: str) -> str:
    """The detector that goes with an encoder: `concept` has its own, every ImageBind is read densely."""
    return "concept" if model == "concept" else "dense"


def load_detector(
    name: str, encoder: Encoder | None = None, *, null_regions: str | Path | None = SHIPPED, **options: Any
) -> Detector:
    """Build the detector called `name` on top of `encoder` (`owlvit` brings its own weights and takes None).

    null_regions: file that calibrates the scores (see null_regions.py); by default the one that ships with
    the model, if there is one; None leaves them uncalibrated.

    options: the keyword arguments of the backend's factory, see docs/detection.md. Raises InvalidInputError
    for an unknown name or option, UnsupportedModalityError if the encoder lacks the vision tower,
    ModelFileError for missing weights and MissingDependencyError for a missing extra.
    """
    if name not in detector_names():
        raise InvalidInputError(f"unknown detector {name!r}: use one of {', '.join(detector_names())}")
    if name not in _factories:
        import_module(_builtin[name])
    # Detectors reach into the model's own image tower; bound towers only make queries.
    if isinstance(encoder, ExtendedEncoder):
        encoder = encoder.base
    try:
        detector = _factories[name](encoder, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InvalidInputError(f"detector {name!r}: {error}") from None
    if null_regions == SHIPPED:
        null_regions = _shipped_null_regions(name)
    if null_regions is not None:
        from imagebind_node.detection.null_regions import load_null_regions

        detector.null_regions = load_null_regions(Path(null_regions), name, detector.space)
    return detector


def _shipped_null_regions(name: str) -> Path | None:
    if name != "concept":
        return None
    from imagebind_node.detection.null_regions import FILE
    from imagebind_node.encoders.concept.weights import model_dir

    path = model_dir("concept") / FILE
    return path if path.is_file() else None
