"""Real pairs for benchmarks/binding_pairs.py: read, cut, and held out by class, folder, file or person."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagebind_node.binding.curves import read_history
from imagebind_node.binding.pairs import folds
from imagebind_node.binding.shards import Pair
from imagebind_node.errors import InvalidInputError
from imagebind_node.files import read_audio, read_image
from imagebind_node.preprocessing.audio_signal import resample, to_mono

Split = tuple[str, Pair]
RATE, WINDOW, STEP = 16_000, 15_600, 8_000
SIDE = 128
FARM = ("cat", "cow", "dog", "duck", "horse", "owl", "pig", "sheep")
KIN = ("bull", "drake", "donkey", "ram")
THINGS = [
    *(
        "dog",
        "cat",
        "cow",
        "horse",
        "pig",
        "sheep",
        "bird",
        "duck",
        "frog",
        "insect",
        "car",
        "train",
        "bell",
        "drum",
    ),
    *(
        "violin",
        "piano",
        "trumpet",
        "water",
        "wind",
        "speech",
        "laughter",
        "music",
        "engine",
        "explosion",
        "clock",
    ),
]


def listed(path: Path) -> list[dict[str, Any]]:
    """Entries of pairs.json with absolute paths."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return [e | {"image": path.parent / e["image"], "sound": path.parent / e["sound"]} for e in entries]


def farm(folder: Path) -> list[dict[str, Any]]:
    """Entries of GCompris's farm (gcompris_farm.py wrote them): photographs and sounds of eight animals."""
    return [{"text": n, "image": folder / f"{n}.webp", "sound": folder / f"{n}.ogg"} for n in FARM]


def off_the_farm(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are none of these animals, nor their kin."""
    return [e for e in entries if not set(FARM + KIN) & set(e["text"].replace("_", " ").split())]


def fold_numbers(entries: list[dict[str, Any]], count: int) -> np.ndarray:
    """Fold of each entry; entries of one name, or of one and the same sound or picture, share it."""
    names: list[str] = []
    seen: dict[str, str] = {}
    for entry in entries:
        keys = [entry["text"]] + [
            hashlib.sha256(entry[kind].read_bytes()).hexdigest() for kind in ("image", "sound")
        ]
        name = next((seen[key] for key in keys if key in seen), entry["text"])
        seen.update(dict.fromkeys(keys, name))
        names.append(name)
    return folds(np.array(names), count)


def sounds(entries: list[dict[str, Any]], held: set[int]) -> Iterator[Split]:
    """Each entry once: its picture and its sound; those in `held` are the test."""
    for place, entry in enumerate(entries):
        sample = read_audio(entry["sound"])
        facts = {"session": entry["text"], "sample_rate": sample.sample_rate}
        picture = read_image(entry["image"]).data
        pair = Pair(f"{place:04d}", picture, to_mono(sample.data), facts)
        yield ("test" if place in held else "train"), pair


def pictures(folder: Path) -> list[Path]:
    """Every readable PNG or JPEG below `folder`."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))


def grey_as_depth(root: Path, crops: int) -> Iterator[Split]:
    """Pictures and their grey as depth, 1 m (white) to 5 m (black): no real depth, the same outlines.

    A fifth of the folders below `root` is the test, whole pictures; of the others the whole and `crops` random parts.
    """
    for place, path in enumerate(pictures(root)):
        try:
            image = read_image(path).data
        except InvalidInputError:
            continue
        folder = path.parent.relative_to(root).as_posix()
        test = int(hashlib.sha256(folder.encode()).hexdigest(), 16) % 5 == 0
        rng = np.random.default_rng(place)
        for number in range(1 if test else 1 + crops):
            part = image if number == 0 else _crop(image, rng)
            small = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            metres = 5 - 4 * cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
            pair = Pair(f"{place:05d}_{number}", small, metres, {"session": folder})
            yield ("test" if test else "train"), pair


def _crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    share = rng.uniform(0.5, 0.9)
    rows, columns = max(8, int(height * share)), max(8, int(width * share))
    top, left = rng.integers(max(1, height - rows + 1)), rng.integers(max(1, width - columns + 1))
    return image[top : top + rows, left : left + columns]


def hapt_windows(downloads: Path) -> Iterator[Split]:
    """Windows of motion with the first caption of their activity; people 22 to 30 are the test."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models" / "concept"))
    import hapt

    downloads.mkdir(parents=True, exist_ok=True)
    data, labels, people = hapt.windows(hapt.fetch(downloads))
    times = np.arange(data.shape[2])[:, None] / 50
    for place, (window, label, person) in enumerate(zip(data, labels, people)):
        facts = {"session": f"person_{person:02d}", "text": hapt.CAPTIONS[int(label)][0]}
        sense = np.column_stack([times, window.T]).astype(np.float64)
        yield ("test" if person >= 22 else "train"), Pair(f"{place:06d}", None, sense, facts)


def windows_of_sounds(folders: list[Path], variants: int) -> Iterator[Split]:
    """Windows of 0.975 s of every sound file; a fifth of the names is the test.

    Each training window comes with `variants` of it: faster or slower, louder or softer, mixed with another. A teacher
    can say of any sound what it is. Tux Paint's spoken descriptions (NAME_desc_LANGUAGE) are left out: thousands of
    files of one and the same class.
    """
    training: list[tuple[str, np.ndarray]] = []
    found = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in (".ogg", ".wav", ".flac"))
    for place, path in enumerate(path for path in found if "_desc" not in path.stem):
        try:
            sample = read_audio(path)
        except InvalidInputError:
            continue
        signal = resample(to_mono(sample.data), sample.sample_rate, RATE)
        signal = signal if len(signal) >= WINDOW else np.resize(signal, WINDOW)
        name = path.stem.split("_")[0]
        test = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 == 0
        for start in range(0, len(signal) - WINDOW + 1, STEP):
            part = signal[start : start + WINDOW].astype(np.float32)
            yield ("test" if test else "train"), _sound(f"{place:05d}_{start:07d}", part, name)
            if not test:
                training.append((name, part))
    rng = np.random.default_rng(0)
    for number in range(variants * len(training)):
        name, part = training[number % len(training)]
        _, other = training[rng.integers(len(training))]
        speed = rng.uniform(0.8, 1.25)
        moved = np.interp(np.arange(WINDOW) * speed % (WINDOW - 1), np.arange(WINDOW), part)
        mixed = moved + rng.choice([0.0, 0.3, 1.0]) * np.roll(other, rng.integers(WINDOW))
        mixed *= rng.uniform(0.3, 1.0) / max(1e-3, np.abs(mixed).max())
        yield "train", _sound(f"v{number:07d}", mixed.astype(np.float32), name)


def _sound(key: str, signal: np.ndarray, name: str) -> Pair:
    return Pair(key, None, signal, {"session": name, "sample_rate": RATE})


def vector(embedding: Any) -> np.ndarray:
    """An embedding without a vector is as far from everything as from everything else."""
    return embedding.vector if embedding.vector.size else np.zeros(embedding.space.dim, np.float32)


def agreement_by_chance(rows: np.ndarray, words: np.ndarray) -> float:
    """How often two who answer as often with each word as the teacher, but at random, would agree."""
    shares = np.bincount((rows @ words.T).argmax(1), minlength=len(words)) / len(rows)
    return float((shares**2).sum())


def weights(bound: Path) -> list[np.ndarray]:
    """The tensors of a bound checkpoint."""
    from safetensors.numpy import load_file

    return list(load_file(bound / "tower.safetensors").values())


def plot(args: Any) -> dict[str, Any]:
    """Loss by step of every training below the folders."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    histories = {
        p.parent: read_history(p.parent) for f in args.folders for p in sorted(f.rglob("history.jsonl"))
    }
    figure, axes = pyplot.subplots(1, len(args.folders), figsize=(4.2 * len(args.folders), 3.2))
    for axis, folder in zip(np.atleast_1d(axes), args.folders):
        for place, history in histories.items():
            if folder not in place.parents:
                continue
            steps = [entry["step"] for entry in history]
            axis.plot(steps, [entry["loss"] for entry in history], lw=0.8, label=place.name)
            watched = [(e["step"], e["validation_loss"]) for e in history if "validation_loss" in e]
            if watched:
                axis.plot(*zip(*watched), "o--", ms=3, label=f"{place.name}, held out")
        axis.set(title=folder.name, xlabel="step", ylabel="loss")
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(args.to, dpi=110)
    return {"trainings": len(histories), "picture": str(args.to)}
