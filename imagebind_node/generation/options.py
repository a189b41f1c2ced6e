"""Which options a generator takes. Imports no torch."""

from __future__ import annotations

from typing import Any

from imagebind_node.errors import InvalidInputError

OPTIONS = {
    "concept": ("guidance", "judge"),
    "imagebind_huge": (
        *("guidance", "folder", "device", "precision", "memory", "safety", "noise_level", "norm"),
    ),
}


def backend_options(model: str, **given: Any) -> dict[str, Any]:
    """Those of `given` that the generator of `model` takes and that are not None.

    Raises InvalidInputError for a model without a generator.
    """
    return {name: given[name] for name in _known(model) if given.get(name) is not None}


def require_options(model: str, given: dict[str, Any]) -> None:
    """Raise InvalidInputError if something is given that the generator of `model` does not take."""
    foreign = [name for name, value in given.items() if value is not None and name not in _known(model)]
    if foreign:
        raise InvalidInputError(
            f"the generator of {model!r} has no option {', '.join(foreign)}: it has {', '.join(_known(model))}"
        )


def _known(model: str) -> tuple[str, ...]:
    if model not in OPTIONS:
        raise InvalidInputError(f"model {model!r} has no generator: use one of {', '.join(sorted(OPTIONS))}")
    return OPTIONS[model]
