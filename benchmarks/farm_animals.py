"""Sound to photo, text to photo, and naming sounds and photos, through index, memory and recognition.

  python benchmarks/farm_animals.py FOLDER

FOLDER holds NAME.webp (or .jpg, .png) and NAME.ogg (or .wav, .flac) pairs, such as benchmarks/gcompris_farm.py writes.
Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from imagebind_node.encoders.base import load_encoder
from imagebind_node.memory import MemoryFilter, open_memory
from imagebind_node.recognition import ClassSet, ZeroShotClassifier
from imagebind_node.recognition.zero_shot import text_encoder
from imagebind_node.retrieval import find_sources, index_sources
from imagebind_node.retrieval.job import local_worker

PICTURES, SOUNDS = (".webp", ".jpg", ".png"), (".ogg", ".wav", ".flac")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="concept")
    parser.add_argument("--animals", default="cat,cow,dog,duck,horse,owl,pig,sheep", help="names, by commas")
    args = parser.parse_args()
    names = args.animals.split(",")
    pictures = {name: find(args.folder, name, PICTURES) for name in names}
    sounds = {name: find(args.folder, name, SOUNDS) for name in names}
    encoder = load_encoder(args.model, modalities=["vision", "audio", "text"])
    classes = ClassSet("animals", {name: (name,) for name in names})
    classifier = ZeroShotClassifier(classes, encoder.space, text_encoder(encoder))
    right: dict[str, list[str]] = {
        "sound_to_photo": [],
        "text_to_photo": [],
        "name_sound": [],
        "name_photo": [],
    }
    photos = MemoryFilter(modalities=("vision",))
    with tempfile.TemporaryDirectory() as folder, open_memory(folder, encoder.space) as store:
        sources, _ = find_sources([*pictures.values(), *sounds.values()])
        index_sources(sources, store, local_worker(encoder))
        for name in names:
            heard, seen = (
                encoder.encode("audio", [sounds[name]])[0],
                encoder.encode("vision", [pictures[name]])[0],
            )
            said = encoder.encode("text", [name])[0]
            for task, query in (("sound_to_photo", heard), ("text_to_photo", said)):
                if Path(store.search(query, 1, photos)[0].moment.source).stem == name:
                    right[task].append(name)
            for task, embedding in (("name_sound", heard), ("name_photo", seen)):
                if classifier.recognise(embedding).labels[0] == name:
                    right[task].append(name)
    figures = {
        task: {"right": len(found), "of": len(names), "wrong": sorted(set(names) - set(found))}
        for task, found in right.items()
    }
    print(json.dumps({"benchmark": "farm animals", "model": args.model, **figures}, indent=1))


def find(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path:
    """The file called `name` with one of the endings."""
    for suffix in suffixes:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    sys.exit(f"{folder} holds no {name} with one of {', '.join(suffixes)}")


if __name__ == "__main__":
    main()
