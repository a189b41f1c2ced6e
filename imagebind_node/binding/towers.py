"""Towers to train: encoders of one modality, by name, from a recipe's `tower` section.

    @register_tower("my_lidar")
    def build(dim: int, beams: int = 360) -> nn.Module: ...

A tower maps a batch of inputs (B, ...) to rows (B, dim) of any length. A sample may consist of several clips,
(B, S, ...): towers here embed them one by one and average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from imagebind_node.binding.plugins import Registry
from imagebind_node.errors import InvalidInputError

Build = Callable[..., nn.Module]
_towers: Registry[Build] = Registry("tower")
register_tower = _towers.register
_BUILTIN = ("small_towers", "imagebind_tower")


def build_tower(section: Mapping[str, Any], dim: int, *, seed: int | None = None) -> nn.Module:
    """The tower that a recipe's section describes: {"name": NAME, options...}, ending in `dim` components.

    seed: of the initial weights; the global random state stays as it was. Raises InvalidInputError for an unknown
    name or options that the tower does not have.
    """
    for module in _BUILTIN:
        import_module(f"imagebind_node.binding.{module}")
    options = dict(section)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise InvalidInputError(f"the tower needs a name: one of {', '.join(_towers.names())}")
    build = _towers.get(name)
    with torch.random.fork_rng([]):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            return build(dim, **options)
        except (TypeError, ValueError) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise InvalidInputError(f"tower {name!r}: {error}") from error
