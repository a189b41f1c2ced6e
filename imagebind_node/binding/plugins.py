"""Code of users that registers towers, preprocessing and augmentations, found without a change to this package."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from imagebind_node.errors import InvalidInputError

GROUP = "imagebind_node.binding"
"""Entry points of this group name modules to import: `[project.entry-points."imagebind_node.binding"]`."""
ENVIRONMENT = "IMAGEBIND_NODE_PLUGINS"
"""Modules to import, separated by commas, for code that is no installed package."""

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Things by name. A name that is not known is looked for in plugins before it is refused."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._things: dict[str, Thing] = {}

    def register(self, name: str) -> Callable[[Thing], Thing]:
        """Decorator: keep the thing under `name`. Raises InvalidInputError if the name is taken by another."""

        def keep(thing: Thing) -> Thing:
            if self._things.setdefault(name, thing) is not thing:
                raise InvalidInputError(f"a {self.what} called {name!r} is registered already")
            return thing

        return keep

    def get(self, name: str) -> Thing:
        """The thing called `name`. Raises InvalidInputError that lists the names and says how to add one."""
        if name not in self._things:
            load_plugins()
        if name not in self._things:
            raise InvalidInputError(
                f"unknown {self.what} {name!r}: use one of {', '.join(sorted(self._things))}; or name the module "
                f"that registers it in {ENVIRONMENT}"
            )
        return self._things[name]

    def names(self) -> list[str]:
        """All names, those of plugins too."""
        load_plugins()
        return sorted(self._things)


def plugin_modules() -> list[str]:
    """Modules that entry points and the environment name: the code that may be run."""
    named = os.environ.get(ENVIRONMENT, "").split(",")
    return [entry.value for entry in entry_points(group=GROUP)] + [n.strip() for n in named if n.strip()]


@lru_cache(maxsize=1)
def load_plugins() -> None:
    """Import all plugins, once. Raises InvalidInputError if that fails."""
    for name in plugin_modules():
        try:
            import_module(name)
        except ImportError as error:
            raise InvalidInputError(f"plugin {name!r} cannot be imported: {error}") from error
