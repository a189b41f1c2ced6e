"""Sets of classes in YAML: names, synonyms, prompts and what was calibrated."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.documents import read_yaml
from imagebind_node.recognition.prompts import TEMPLATES, check_templates
from imagebind_node.samples import Modality, parse_modality

MAX_CLASSES = 100_000
_KEYS = {"name", "classes", "templates", "temperature", "unknown_cosine"}


@dataclass(frozen=True)
class ClassSet:
    """Classes to choose from.

    classes: label -> names that the text encoder sees (synonyms, averaged). templates: per modality, those of
    prompts.py where there are none. temperature: cosines are divided by it, None for the default;
    unknown_cosine: the cosine that "none of these" has, None for no unknown class.
    """

    name: str
    classes: Mapping[str, tuple[str, ...]]
    templates: Mapping[Modality, tuple[str, ...]] = field(default_factory=dict)
    temperature: float | None = None
    unknown_cosine: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise InvalidInputError(
                f"class set {self.name!r} has {len(self.classes)} classes: give 1 or more"
            )
        for label, names in self.classes.items():
            if not names or not all(isinstance(name, str) and name.strip() for name in (label, *names)):
                raise InvalidInputError(f"class set {self.name!r}: class {label!r} has an empty name")
        if self.temperature is not None and not 0 < self.temperature < 100:
            raise InvalidInputError(
                f"class set {self.name!r}: temperature must be above 0, got {self.temperature}"
            )
        if self.unknown_cosine is not None and not -1 <= self.unknown_cosine <= 1:
            raise InvalidInputError(
                f"class set {self.name!r}: unknown_cosine must be -1 to 1, got {self.unknown_cosine}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in order."""
        return tuple(self.classes)

    def prompts(self, label: str, modality: Modality) -> list[str]:
        """Every sentence for a class when something of `modality` is to be recognised."""
        templates = self.templates.get(modality) or TEMPLATES[modality]
        return [template.format(name) for name in self.classes[label] for template in templates]


def from_labels(labels: list[str], name: str = "labels") -> ClassSet:
    """A class set of plain names."""
    return ClassSet(name, {label: (label,) for label in labels})


def bundled_class_set(name: str) -> Path:
    """A class set that comes with the package: beside it in a checkout, else under share/ of a prefix."""
    share = Path("share", "imagebind_node", "config", "class_sets")
    prefixes = [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))]
    places = [
        Path(__file__).resolve().parents[2] / "config" / "class_sets",
        *(Path(p) / share for p in prefixes),
    ]
    for place in places:
        if (place / f"{name}.yaml").is_file():
            return place / f"{name}.yaml"
    raise InvalidInputError(f"class set {name!r} is not installed: looked in {', '.join(map(str, places))}")


def read_class_set(path: str | Path) -> ClassSet:
    """Read a YAML file (see config/class_sets); raises InvalidInputError with the line or key that is wrong."""
    path = Path(path)
    document = read_yaml(path, "class set")
    if not isinstance(document, dict) or "classes" not in document:
        raise InvalidInputError(f"class set {path} must be a mapping with the key 'classes'")
    unknown = set(document) - _KEYS
    if unknown:
        raise InvalidInputError(
            f"class set {path}: unknown key {sorted(map(str, unknown))[0]!r}, use {', '.join(sorted(_KEYS))}"
        )
    templates: dict[Modality, tuple[str, ...]] = {}
    given = document.get("templates") or {}
    if not isinstance(given, dict):
        raise InvalidInputError(f"class set {path}: 'templates' must map modalities to sentences")
    for modality, lines in given.items():
        sentences = lines if isinstance(lines, list) else [lines]
        templates[parse_modality(str(modality))] = check_templates(tuple(map(str, sentences)))
    return ClassSet(
        name=str(document.get("name", path.stem)),
        classes=_classes(document["classes"], path),
        templates=templates,
        temperature=_number(document, "temperature", path),
        unknown_cosine=_number(document, "unknown_cosine", path),
    )


def write_class_set(class_set: ClassSet, path: Path) -> None:
    """Write what `read_class_set` reads. Raises InvalidInputError if the file cannot be written."""
    document: dict[str, Any] = {
        "name": class_set.name,
        "classes": {label: list(names) for label, names in class_set.classes.items()},
    }
    if class_set.templates:
        document["templates"] = {m.value: list(lines) for m, lines in class_set.templates.items()}
    for key in ("temperature", "unknown_cosine"):
        if getattr(class_set, key) is not None:
            document[key] = float(getattr(class_set, key))
    try:
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write class set {path}: {error.strerror}") from error


def _classes(entries: Any, path: Path) -> dict[str, tuple[str, ...]]:
    if isinstance(entries, list):
        entries = {entry: entry for entry in map(str, entries)}
    if not isinstance(entries, dict):
        raise InvalidInputError(f"class set {path}: 'classes' must be a list of names or name: [synonyms]")
    return {
        str(label): tuple(map(str, names)) if isinstance(names, list) else (str(names or label),)
        for label, names in entries.items()
    }


def _number(document: dict[str, Any], key: str, path: Path) -> float | None:
    value = document.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise InvalidInputError(f"class set {path}: {key} must be a number, got {value!r}")
    return None if value is None else float(value)
