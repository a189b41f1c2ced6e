"""The lists that evaluations read: JSON arrays of objects with paths relative to the list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.formats.documents import read_json

Result = TypeVar("Result")


def read_list(path: Path, fields: dict[str, type | tuple[type, ...]]) -> list[dict[str, Any]]:
    """Entries of a JSON list; every entry must have `fields`, each of its type.

    Raises InvalidInputError that names the list, the entry and the field.
    """
    entries = read_json(path, "list")
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{path} must hold a JSON list with at least one entry")
    for index, entry in enumerate(entries):
        for name, kind in fields.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(name), kind):
                raise InvalidInputError(f"{path}, entry {index}: needs {name!r} ({_named(kind)})")
    return entries


def _named(kind: type | tuple[type, ...]) -> str:
    return " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))


def for_entry(path: Path, index: int, work: Callable[[], Result]) -> Result:
    """Run `work` for one entry; an error of ours says which entry it was."""
    try:
        return work()
    except ImagebindNodeError as error:
        raise InvalidInputError(f"{path}, entry {index}: {error}") from error
