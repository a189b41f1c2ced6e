"""What every reader gives: items that load their sample when asked, with labels or captions."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality, Sample


@dataclass(frozen=True)
class Item:
    """One sample to recognise. labels: at least one of the dataset's classes; load: reads it from disk."""

    name: str
    labels: tuple[str, ...]
    load: Callable[[], Sample]


@dataclass(frozen=True)
class CaptionedItem:
    """A sound with the sentences that describe it."""

    path: Path
    captions: tuple[str, ...]


@dataclass(frozen=True)
class LabelledDataset:
    """classes in the order of the dataset; every label of an item is one of them."""

    name: str
    modality: Modality
    classes: tuple[str, ...]
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise InvalidInputError(f"dataset {self.name!r} has no items")
        unknown = {label for item in self.items for label in item.labels} - set(self.classes)
        if unknown:
            raise InvalidInputError(
                f"dataset {self.name!r}: label {sorted(unknown)[0]!r} is not among its classes"
            )


def need(root: Path, *parts: str, what: str) -> Path:
    """root/parts if it exists; raises InvalidInputError that says what layout is expected."""
    path = root.joinpath(*parts)
    if not path.exists():
        raise InvalidInputError(f"{root} is not {what}: {'/'.join(parts)} is missing")
    return path


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header that holds `columns`."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"cannot read {path}: {error}") from error
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise InvalidInputError(f"{path} has no rows or no column {missing[0]!r}")
    return rows
