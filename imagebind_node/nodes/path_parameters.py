"""Keeps parameters that name files within the folders that were chosen when the node was started."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagebind_node.allowed_folders import AllowedFolders, is_local
from imagebind_node.errors import InvalidInputError

READ, WRITE, SOURCE = "read", "write", "source"
FOLDERS = {READ: "read_folders", WRITE: "write_folders"}
"""Purpose -> parameter with the folders."""


def purpose_of(kind: str) -> str:
    """Purpose of a parameter of kind READ, WRITE or SOURCE (a file, a device or an address, to read from)."""
    return WRITE if kind == WRITE else READ


class PathParameters:
    """The rule of one node: without folders of its own it may use what its parameters named at start."""

    def __init__(self, kinds: Mapping[str, str], started: Mapping[str, Any]) -> None:
        """kinds: name of a parameter -> READ, WRITE or SOURCE. started: values of all parameters at start.

        Raises InvalidInputError if one of them breaks the rule already.
        """
        self._kinds, self._started = dict(kinds), dict(started)
        self._chosen = {
            purpose: [folder for folder in started[FOLDERS[purpose]] if folder.strip()]
            for purpose in {*map(purpose_of, kinds.values())}
        }
        self._allowed = {purpose: self._folders(purpose) for purpose in self._chosen}
        for name in kinds:
            self.checked(name, started[name])

    def checked(self, name: str, value: Any) -> Any:
        """`value`, a path or a list of paths, as it is to be used: absolute; an empty one, a device number or an
        address as it is.

        Links in a source are left to whoever opens it: that of a device leads elsewhere after every plugging in.
        Raises InvalidInputError for a path outside the folders.
        """
        if isinstance(value, str):
            return self._checked(name, value)
        return [self._checked(name, path) for path in value]

    def _checked(self, name: str, value: str) -> str:
        kind = self._kinds[name]
        if not value.strip() or (kind == SOURCE and not is_local(value)):
            return value
        try:
            if not self._trusted(name, value):
                resolved = self._allowed[purpose_of(kind)].require(value)
                return str(resolved if kind != SOURCE else _absolute(value))
        except InvalidInputError as error:
            raise InvalidInputError(f"parameter {name}: {error}") from None
        return str(_absolute(value))

    def _trusted(self, name: str, value: str) -> bool:
        """True for what the operator named at start, unless there are folders; for devices even then."""
        if value not in self._named(name):
            return False
        chosen = self._chosen[purpose_of(self._kinds[name])]
        is_device = self._kinds[name] == SOURCE and posixpath.normpath(value).startswith("/dev/")
        return is_device or not chosen

    def _folders(self, purpose: str) -> AllowedFolders:
        mend = f"to allow it, start the node with its folder in {FOLDERS[purpose]}"
        named = [
            path
            for name, kind in self._kinds.items()
            for path in self._named(name)
            if purpose_of(kind) == purpose and path.strip() and (kind != SOURCE or is_local(path))
        ]
        return AllowedFolders.of(purpose, self._chosen[purpose] or named, mend)

    def _named(self, name: str) -> list[str]:
        """The paths that a parameter named at start."""
        value = self._started[name]
        return [value] if isinstance(value, str) else list(value)


def _absolute(path: str) -> Path:
    """Never relative: FFmpeg would take `concat:a` for a protocol."""
    return Path(path).expanduser().absolute()
