"""A caption set to fit bridges on, made from names that ship with the package: the same on every machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.formats.bounded import MEBI, decoding, read_bytes

CAPTION_BYTES = 256 * MEBI

TEMPLATES = (
    "{}",
    "a photo of a {}",
    "a {} in the yard",
    "a close-up of a {}",
    "the sound of a {}",
    "a {} next to a {}",
)


def class_names(folder: Path) -> list[str]:
    """Names of ImageNet, COCO and AudioSet classes in the model folder of `concept`, without repeats, in order.

    Raises ModelFileError if the folder does not hold them.
    """
    path = folder / "classes.json"
    try:
        classes = json.loads(path.read_text(encoding="utf-8"))
        names = [name for part in ("image", "coco", "audio") for name in classes[part]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} cannot be read ({error}): reinstall the package") from None
    return list(dict.fromkeys(name.lower() for name in names))


def generated_captions(names: Sequence[str], templates: Sequence[str] = TEMPLATES) -> list[str]:
    """One caption a name and template, without repeats; a second `{}` takes another name, far down the list."""
    half = len(names) // 2
    captions = [
        template.format(name, names[(i + half) % len(names)])
        for template in templates
        for i, name in enumerate(names)
    ]
    return list(dict.fromkeys(captions))


def read_captions(path: Path) -> list[str]:
    """Captions from a UTF-8 text file, one a line; blank lines and repeats are left out."""
    with decoding(path, "list of captions", "write one a line, in UTF-8"):
        lines = read_bytes(path, CAPTION_BYTES).decode("utf-8-sig").splitlines()
    captions = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not captions:
        raise InvalidInputError(f"{path} holds no captions: write one a line")
    return captions
