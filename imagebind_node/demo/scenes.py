"""Where the bundled scenes and sounds lie, and what is right about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from imagebind_node.errors import MissingDependencyError

SCENES = "scenes.json"


@dataclass(frozen=True)
class Cue:
    """A sound file and the name of the thing that makes it."""

    sound: Path
    thing: str


@dataclass(frozen=True)
class Scene:
    """A picture, boxes [x0, y0, x1, y1] in pixels of its things (several: any of them is right), and cues."""

    image: Path
    things: dict[str, list[list[float]]]
    cues: tuple[Cue, ...]


def demo_dir() -> Path:
    """Folder of the demo data: beside the package in a checkout, else in share/ of where it was installed to.

    Raises MissingDependencyError if it is in neither place.
    """
    above = Path(__file__).resolve().parents
    places = [above[2] / "demo", *(folder / "share" / "imagebind_node" / "demo" for folder in above[2:])]
    found = next((place for place in places if (place / SCENES).is_file()), None)
    if found is None:
        raise MissingDependencyError(
            "the demo's pictures and sounds are not installed: install the package again, or run from a checkout"
        )
    return found


def load_scenes() -> list[Scene]:
    """The bundled scenes in order."""
    folder = demo_dir()
    entries = json.loads((folder / SCENES).read_text("utf8"))["scenes"]
    return [
        Scene(
            folder / entry["image"],
            entry["things"],
            tuple(Cue(folder / cue["sound"], cue["thing"]) for cue in entry["cues"]),
        )
        for entry in entries
    ]
