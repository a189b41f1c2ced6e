"""Which labels name the same kind of thing: a YAML file that maps labels to kinds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.documents import read_yaml


def read_kinds(path: str | Path) -> dict[str, str]:
    """{label: kind} of a YAML file; a label that is not listed is a kind of its own.

    Raises InvalidInputError that says what is wrong with the file, and where.
    """
    kinds = read_yaml(path, "list of kinds")
    if not isinstance(kinds, dict) or not kinds:
        raise InvalidInputError(
            f"kinds {path} must be a mapping of labels to kinds, such as 'brown hen: chicken'"
        )
    for label, kind in kinds.items():
        if not isinstance(label, str) or not isinstance(kind, str) or not kind:
            raise InvalidInputError(
                f"kinds {path}: {label!r}: {kind!r} must be two words: put what YAML takes for something else in quotes"
            )
    return kinds


def kinds_of(labels: list[str], kinds: Mapping[str, str]) -> list[str]:
    """The kind of every label.

    Raises InvalidInputError if `kinds` lists none of the labels: it is meant for other data.
    """
    if not kinds.keys() & set(labels):
        raise InvalidInputError(
            f"not one of the {len(kinds)} labels with a kind is in the data, which has {labels[0]!r} and others: "
            "give the kinds of this data"
        )
    return [kinds.get(label, label) for label in labels]
