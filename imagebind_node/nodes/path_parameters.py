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

    def checked(self, name: str, value: str) -> str:
        """`value` as it is to be used: an absolute path; an empty one, a device number, an address as they are.

        Links in a source are left to whoever opens it: that of a device leads elsewhere after every plugging in.
        Raises InvalidInputError for a path outside the folders.
        """
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
        if value != self._started[name]:
            return False
        chosen = self._chosen[purpose_of(self._kinds[name])]
        is_device = self._kinds[name] == SOURCE and posixpath.normpath(value).startswith("/dev/")
        return is_device or not chosen

    def _folders(self, purpose: str) -> AllowedFolders:
        mend = f"to allow it, start the node with its folder in {FOLDERS[purpose]}"
        named = [
            self._started[name]
            for name, kind in self._kinds.items()
            if purpose_of(kind) == purpose and (kind != SOURCE or is_local(self._started[name]))
        ]
        return AllowedFolders.of(purpose, self._chosen[purpose] or [n for n in named if n.strip()], mend)


def _absolute(path: str) -> Path:
    """Never relative: FFmpeg would take `concat:a` for a protocol."""
    return Path(path).expanduser().absolute()
