"""Bind small towers on real pairs and measure them on classes, folders, files or people that were held out.

  python benchmarks/binding_pairs.py sound LIST --out DIR        sounds to pictures, classes held out in 5 folds
      [--scratch: a small tower from scratch, too] [--farm FOLDER: GCompris's farm as another test]
  python benchmarks/binding_pairs.py depth PICTURES --out DIR    grey as depth to pictures, folders held out
      [--views N: augmented versions of each picture, the depth cropped alike]
  python benchmarks/binding_pairs.py motion --out DIR            HAPT to captions, people held out
  python benchmarks/binding_pairs.py student SOUNDS... --out DIR a student of concept's audio tower, files held out
      [--variants N: of each training window]
  python benchmarks/binding_pairs.py plot DIR... --to FILE.png   the loss curves of all trainings below

LIST is pairs.json as `imagebind-node evaluate retrieval` takes it; PICTURES and SOUNDS are folders, such as the stamps
of Debian's tuxpaint-stamps-default. Trains with `bind` itself, so that an interrupted run goes on. Prints
one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import binding_data  # noqa: E402

from imagebind_node import load_encoder  # noqa: E402
from imagebind_node.binding.bind import Run, bind  # noqa: E402
from imagebind_node.binding.judge import ranks, recall  # noqa: E402
from imagebind_node.binding.recipe import Recipe, parse_recipe, read_recipe  # noqa: E402
from imagebind_node.binding.shards import PairShards, ShardWriter  # noqa: E402
from imagebind_node.evaluation.statistics import bootstrap, proportion  # noqa: E402
from imagebind_node.samples import AudioSample, DepthSample, Modality  # noqa: E402

FOLDS = 5


def train(recipe: Any, shards: Path, out: Path) -> Path:
    """The bound tower of a training that may have been begun before."""
    bound = out / "bound"
    if not (bound / "card.yaml").is_file():
        bind(recipe, shards, Run(out=out, resume=True, progress=sys.stderr.isatty()))
    return bound


def write(folder: Path, pairs: Callable[[], Any]) -> Path:
    """Shards of (split, Pair), unless they are there."""
    if not (folder / "index.json").is_file():
        writer = ShardWriter(folder)
        for split, pair in pairs():
            writer.add(split, pair)
        writer.close({"source": "benchmarks/binding_pairs.py"})
    return folder


def sound(args: argparse.Namespace) -> dict[str, Any]:
    """Every class is held out once; a sound looks for its picture among those of the held-out classes."""
    entries = binding_data.listed(args.data)
    numbers = binding_data.fold_numbers(entries, FOLDS)
    recipes = {"head on frozen YAMNet": read_recipe("audio_head")}
    if args.scratch:
        scratch = read_recipe("audio_small").plain
        scratch["training"] |= {"replication": 4.0, "validation": 0.0}
        recipes["small tower from scratch"] = parse_recipe(scratch)
    own = load_encoder("concept", modalities=["vision", "audio"])
    pictures = np.stack([e.vector for e in own.encode(Modality.VISION, [e["image"] for e in entries])])
    heard = {"concept's own audio tower": own.encode(Modality.AUDIO, [e["sound"] for e in entries])}
    found: dict[str, list[np.ndarray]] = {}
    for fold in range(FOLDS):
        held = np.flatnonzero(numbers == fold)
        shards = write(args.out / f"pairs_{fold}", lambda h=set(held): binding_data.sounds(entries, h))
        for name, recipe in recipes.items():
            bound = train(recipe, shards, args.out / f"{name.split()[0]}_{fold}")
            encoder = load_encoder("concept", modalities=["audio"], bound=[bound])
            vectors = encoder.encode(Modality.AUDIO, [entries[i]["sound"] for i in held])
            found.setdefault(name, []).append(ranks(np.stack([v.vector for v in vectors]), pictures[held]))
        for name, vectors in heard.items():
            rows = np.stack([binding_data.vector(vectors[i]) for i in held])
            found.setdefault(name, []).append(ranks(rows, pictures[held]))
    result: dict[str, Any] = {}
    if args.farm:
        result["GCompris's farm, eight animals not trained on"] = on_the_farm(args, entries, own)
    classes = np.concatenate(
        [[entries[i]["text"] for i in np.flatnonzero(numbers == f)] for f in range(FOLDS)]
    )
    galleries = [int((numbers == fold).sum()) for fold in range(FOLDS)]
    return result | {
        "galleries": galleries,
        "held-out classes": {
            name: {f"R@{at}": pooled(np.concatenate(rank), classes, galleries, at) for at in (1, 5)}
            for name, rank in found.items()
        },
    }


def on_the_farm(args: argparse.Namespace, entries: list[dict[str, Any]], own: Any) -> dict[str, Any]:
    """Trained on all of LIST but these animals: photographs and sounds of another collection."""
    test, rest = binding_data.farm(args.farm), binding_data.off_the_farm(entries)
    held = set(range(len(rest), len(rest) + len(test)))
    shards = write(args.out / "pairs_farm", lambda: binding_data.sounds(rest + test, held))
    bound = train(read_recipe("audio_head"), shards, args.out / "head_farm")
    encoder = load_encoder("concept", modalities=["audio"], bound=[bound])
    photos = np.stack([e.vector for e in own.encode(Modality.VISION, [e["image"] for e in test])])
    found: dict[str, Any] = {"trained on": len(rest), "chance": 1 / len(test)}
    for name, tower in (("head on frozen YAMNet", encoder), ("concept's own audio tower", own)):
        rows = np.stack([e.vector for e in tower.encode(Modality.AUDIO, [e["sound"] for e in test])])
        found[name] = proportion(ranks(rows, photos) == 0)
    return found


def pooled(rank: np.ndarray, groups: np.ndarray, galleries: list[int], at: int) -> dict[str, Any]:
    """Recall over all folds; chance is that of each fold's own gallery."""
    result = recall(rank, galleries[0], groups, at)
    return result | {"chance": float(np.average([min(1.0, at / g) for g in galleries], weights=galleries))}


def depth(args: argparse.Namespace) -> dict[str, Any]:
    """Grey pictures as depth find the colour picture that they were made of, among those of held-out folders."""
    shards = write(args.out / "pairs", lambda: binding_data.grey_as_depth(args.data, args.crops))
    bound = train(depth_recipe(args.views), shards, args.out / "depth")
    held = list(PairShards(shards).read("test"))
    groups = np.array([pair.facts["session"] for pair in held])
    encoder = load_encoder("concept", modalities=["vision", "depth"], bound=[bound])
    plain = load_encoder("concept", modalities=["depth"])
    anchors = np.stack([e.vector for e in encoder.encode(Modality.VISION, [p.image for p in held])])
    samples = [DepthSample(pair.sense) for pair in held]
    result: dict[str, Any] = {"pictures": len(held), "folders": len(set(groups))}
    for name, tower in (("bound small tower", encoder), ("concept's image tower on depth as grey", plain)):
        start = time.perf_counter()
        rows = np.stack([e.vector for e in tower.encode(Modality.DEPTH, samples)])
        spent = time.perf_counter() - start
        rank = ranks(rows, anchors)
        result[name] = {f"R@{at}": recall(rank, len(held), groups, at) for at in (1, 5)}
        result[name]["ms each"] = spent / len(held) * 1e3
    return result


def depth_recipe(views: int) -> Recipe:
    """`depth_small`, or with so many augmented versions of each picture that are cropped alike."""
    recipe = read_recipe("depth_small").plain
    if views:
        recipe["augmentations"] = [a for a in recipe["augmentations"] if a["name"] != "resized_crop"]
        recipe["views"] = {"count": views, "scale": [0.3, 1.0], "frame": "whole", "aligned": True}
    return parse_recipe(recipe)


def motion(args: argparse.Namespace) -> dict[str, Any]:
    """Windows of people who were not trained on find the caption of what they do."""
    shards = write(args.out / "pairs", lambda: binding_data.hapt_windows(args.downloads))
    recipe = read_recipe("imu_small").plain | {
        "anchor": {"model": "concept", "modality": "text"},
        "loss": {"contrastive": 0.0, "cosine": 1.0},
    }
    recipe["training"] = recipe["training"] | {"epochs": 12, "checkpoint_every": 3}
    bound = train(parse_recipe(recipe), shards, args.out / "motion")
    held = list(PairShards(shards).read("test"))
    encoder = load_encoder("concept", modalities=["imu", "text"], bound=[bound])
    captions = sorted({pair.facts["text"] for pair in held})
    gallery = np.stack([e.vector for e in encoder.encode(Modality.TEXT, captions)])
    truth = np.array([captions.index(pair.facts["text"]) for pair in held])
    rows = np.stack([e.vector for e in encoder.encode(Modality.IMU, [pair.sense for pair in held])])
    right = (rows @ gallery.T).argmax(1) == truth
    people = np.array([pair.facts["session"] for pair in held])
    shares = np.array([right[people == person].mean() for person in np.unique(people)])
    low, high = bootstrap(lambda index: float(shares[index].mean()), len(shares))
    return {
        "windows": proportion(right),
        "people": {"value": float(shares.mean()), "ci95": [low, high], "n": len(shares)},
        "chance": 1 / len(captions),
    }


def student(args: argparse.Namespace) -> dict[str, Any]:
    """How near a small tower comes to its teacher on sounds that it never heard, and what it saves."""
    shards = write(args.out / "pairs", lambda: binding_data.windows_of_sounds(args.data, args.variants))
    bound = train(read_recipe("audio_student"), shards, args.out / "student")
    held = list(PairShards(shards).read("test"))
    teacher = load_encoder("concept", modalities=["audio", "text"])
    pupil = load_encoder("concept", modalities=["audio"], bound=[bound])
    samples = [AudioSample(pair.sense, 16_000) for pair in held]
    taught = teacher.encode(Modality.AUDIO, samples)
    sure = [place for place, e in enumerate(taught) if not e.abstained]
    files = np.array([held[place].facts["session"] for place in sure])
    theirs = np.stack([taught[place].vector for place in sure])
    ours = np.stack([pupil.encode(Modality.AUDIO, [samples[place]])[0].vector for place in sure])
    cosines = (theirs * ours).sum(1)
    names = teacher.encode(Modality.TEXT, binding_data.THINGS)
    words = np.stack([name.vector for name in names])
    same = (theirs @ words.T).argmax(1) == (ours @ words.T).argmax(1)
    centre = theirs.mean(0) / np.linalg.norm(theirs.mean(0))
    parameters = sum(p.numel() for p in teacher.audio_network.parameters())  # type: ignore[attr-defined]
    by_file = [cosines[files == name].mean() for name in np.unique(files)]
    low, high = bootstrap(lambda index: float(np.mean([by_file[i] for i in index])), len(by_file))
    return {
        "windows": len(sure),
        "files": len(by_file),
        "cosine to the teacher": {"mean over files": float(np.mean(by_file)), "ci95": [low, high]},
        "cosine of the teacher's mean vector": float((theirs @ centre).mean()),
        f"same word of {len(words)}": proportion(same)
        | {"chance": binding_data.agreement_by_chance(theirs, words)},
        "ms each": {
            "teacher": timed(teacher, samples[: args.timed]),
            "student": timed(pupil, samples[: args.timed]),
        },
        "parameters": {"teacher": parameters, "student": sum(v.size for v in binding_data.weights(bound))},
    }


def timed(encoder: Any, samples: list[Any]) -> dict[str, float]:
    """Median milliseconds of the whole way from sound, and of the network alone."""
    whole, network = [], []
    inputs = [encoder.preprocess(Modality.AUDIO, sample)[None] for sample in samples]
    for sample, tensor in zip(samples, inputs):
        start = time.perf_counter()
        encoder.encode(Modality.AUDIO, [sample])
        middle = time.perf_counter()
        encoder.forward(Modality.AUDIO, tensor)
        whole.append(middle - start)
        network.append(time.perf_counter() - middle)
    return {"whole": float(np.median(whole) * 1e3), "network": float(np.median(network) * 1e3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    for task in (sound, depth, motion, student):
        sub = tasks.add_parser(task.__name__, help=task.__doc__)
        if task is not motion:
            sub.add_argument("data", type=Path, nargs="+" if task is student else None)
        sub.add_argument("--out", type=Path, required=True)
        sub.set_defaults(run=task)
    tasks.choices["sound"].add_argument(
        "--scratch", action="store_true", help="a small tower from scratch, too"
    )
    tasks.choices["sound"].add_argument("--farm", type=Path, help="what gcompris_farm.py wrote")
    tasks.choices["depth"].add_argument("--crops", type=int, default=6, help="of each training picture")
    tasks.choices["depth"].add_argument("--views", type=int, default=0, help="versions of each picture")
    tasks.choices["student"].add_argument("--timed", type=int, default=200, help="windows that are timed")
    tasks.choices["student"].add_argument("--variants", type=int, default=8, help="of each training window")
    tasks.choices["motion"].add_argument(
        "--downloads", type=Path, default=Path.home() / ".cache" / "imagebind_node" / "sources"
    )
    plot = tasks.add_parser("plot", help="loss curves of trainings as a picture")
    plot.add_argument("folders", type=Path, nargs="+")
    plot.add_argument("--to", type=Path, required=True)
    plot.set_defaults(run=binding_data.plot)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(args.run(args), indent=1))


if __name__ == "__main__":
    main()
