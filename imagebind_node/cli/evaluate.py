"""Measure a model on data of your own, with chance and 95 % confidence intervals.

DATA is a folder with pairs.json (retrieval, generation: a list of {"text", "image", "sound"}) or scenes.json
(detection: a list of {"image", "sound", "label", "box": [x0, y0, x1, y1]}), or such a file; paths in it are relative
to it.

With --kinds, retrieval reports every figure twice: word for word ("ram" for "sheep" is wrong) and by kind (it is
right); chance is that of each. FILE is YAML, label: kind; labels that are not listed are kinds of their own.

examples:
  imagebind-node evaluate retrieval DATA
  imagebind-node evaluate retrieval DATA --kinds kinds.yaml
  imagebind-node evaluate retrieval clotho --dataset clotho
  imagebind-node evaluate generation DATA --query sound
  imagebind-node evaluate detection DATA --query text
  imagebind-node evaluate zero-shot ESC-50-master --dataset esc50
  imagebind-node evaluate vision-model concept timm:resnet50 timm:resnet50@random --data DATA
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.evaluate_datasets import CAPTIONED, add_limit, add_zero_shot, retrieve_captioned
from imagebind_node.cli.evaluate_vision import add_task
from imagebind_node.cli.options import add_model_arguments, fraction, load_model, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    import numpy as np

    from imagebind_node.encoders.base import Encoder

logger = logging.getLogger(__name__)
_SENSE = {"sound": Modality.AUDIO, "text": Modality.TEXT, "image": Modality.VISION}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    retrieval = tasks.add_parser("retrieval", help="does a sound, picture or text find its partners?")
    retrieval.add_argument(
        "--kinds", type=Path, metavar="FILE", help="YAML, label: kind; report by kind, too, not only by word"
    )
    retrieval.add_argument(
        "--dataset", choices=CAPTIONED, help="DATA is this, as published: sentences look for their sounds"
    )
    add_limit(retrieval)
    retrieval.set_defaults(evaluate=_retrieval)
    detection = tasks.add_parser("detection", help="does the box of the thing that is looked for come first?")
    detection.add_argument(
        "--query", choices=sorted(_SENSE), default="sound", help="what is looked for (default: sound)"
    )
    detection.add_argument("--iou", type=fraction, default=0.5, help="overlap of a right box (default: 0.5)")
    detection.add_argument(
        "--detector", metavar="NAME", help="concept, dense, crops or owlvit (default: by model)"
    )
    detection.set_defaults(evaluate=_detection)
    generation = tasks.add_parser("generation", help="is a generated picture still what was asked for?")
    generation.add_argument(
        "--query", choices=sorted(_SENSE), default="sound", help="what is drawn (default: sound)"
    )
    generation.add_argument(
        "--draws", type=positive_int, default=2, help="pictures of each entry (default: 2)"
    )
    generation.add_argument("--steps", type=int, default=0, help="of the sampler (default: the model's own)")
    generation.add_argument("--seed", type=positive_int, default=1, help="of the first picture (default: 1)")
    generation.add_argument("--judge", type=float, help="concept: pull of the image tower (0: none)")
    generation.add_argument(
        "--gallery",
        type=Path,
        metavar="DIR",
        help="pictures among which the nearest is looked for (default: DATA's)",
    )
    generation.add_argument("--out", type=Path, metavar="DIR", help="keep the pictures there, by entry")
    generation.set_defaults(evaluate=_generation)
    add_zero_shot(tasks)
    add_task(tasks)
    for task in (retrieval, detection, generation):
        task.add_argument("data", type=Path, metavar="DATA", help="folder or list file")
        add_model_arguments(task)


def run(args: argparse.Namespace) -> int:
    return args.evaluate(args)


def _retrieval(args: argparse.Namespace) -> int:
    from imagebind_node.evaluation import evaluate_retrieval
    from imagebind_node.evaluation.kinds import read_kinds

    if args.dataset and args.kinds:
        raise InvalidInputError("--kinds is for lists of pairs, not for --dataset")
    if args.dataset:
        return retrieve_captioned(args)
    if args.limit:
        raise InvalidInputError("--limit is for --dataset")
    path = _list_file(args.data, "pairs.json")
    kinds = read_kinds(args.kinds) if args.kinds else None
    encoder = load_model(args, [Modality.VISION, Modality.AUDIO, Modality.TEXT])
    report = evaluate_retrieval(encoder, path, kinds=kinds)
    if args.json:
        print_json("evaluate_retrieval", model=encoder.name, data=str(path), **report)
        return 0
    print(f"{encoder.name} on {report['n']} entries of {path}; R@k in % [95 % interval], chance in brackets")
    directions = report["directions"]
    _print_recalls("word for word (right: the same text, or the same file)", directions)
    if report["kinds"]:
        by_kind = {direction: found["same_kind"] for direction, found in directions.items()}
        _print_recalls(f"by kind (right: the same of {report['kinds']} kinds)", by_kind)
    print(
        ", ".join(f"{100 * share:.1f} % of {name} abstained" for name, share in report["abstained"].items())
    )
    return 0


def _print_recalls(title: str, directions: dict[str, dict[str, Any]]) -> None:
    ranks = sorted(
        {name for found in directions.values() for name in found if name.startswith("recall_at_")},
        key=lambda name: int(name.rpartition("_")[2]),
    )
    rows = [
        (
            direction.replace("_", " "),
            *(_share(found[rank]) for rank in ranks),
            _share(found["mean_average_precision"]),
            found["median_rank"],
        )
        for direction, found in directions.items()
    ]
    print(f"\n{title}:")
    print_table(
        ("direction", *(f"R@{rank.rpartition('_')[2]}" for rank in ranks), "mAP", "median rank"), rows
    )


def _detection(args: argparse.Namespace) -> int:
    from imagebind_node.detection.registry import default_detector, load_detector
    from imagebind_node.evaluation import evaluate_detection

    path = _list_file(args.data, "scenes.json")
    # The microphone's tower is loaded in any case: abstention on silence and noise belongs to the report.
    encoder = load_model(args, {Modality.VISION, Modality.AUDIO, _SENSE[args.query]})
    name = args.detector or default_detector(args.model)
    report = evaluate_detection(load_detector(name, encoder), encoder, path, query=args.query, iou=args.iou)
    if args.json:
        print_json("evaluate_detection", model=encoder.name, detector=name, data=str(path), **report)
        return 0
    print(f"{encoder.name} with detector {name} on {report['n']} scenes of {path}, query: {report['query']}")
    precision = report["average_precision"]
    rows: list[tuple[str, str]] = [
        (f"right box at IoU {report['iou']}", _share(report["right_box"])),
        ("a proposal is right (upper bound)", _share(report["proposal_recall"])),
        ("average precision", _share(precision)),
        ("cues that abstained", f"{100 * report['abstained']:.1f}"),
        *(
            (f"abstains on {what.replace('_', ' ')}", f"{100 * v:.1f}")
            for what, v in report["abstention"].items()
        ),
    ]
    print_table(("%  [95 % interval], chance in brackets", ""), rows)
    print(f"{report['regions']:.1f} regions and {report['detect_ms']:.0f} ms a scene (median)")
    return 0


def _generation(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from imagebind_node.evaluation import evaluate_generation
    from imagebind_node.generation import load_generator
    from imagebind_node.generation.options import backend_options, require_options

    path = _list_file(args.data, "pairs.json")
    require_options(args.model, {"judge": args.judge})
    encoder = load_model(args, {Modality.VISION, Modality.TEXT, _SENSE[args.query]})
    placed = {"device": args.device, "precision": args.precision, "judge": args.judge}
    generator = load_generator(encoder, **backend_options(args.model, **placed))
    gallery = None if args.gallery is None else _embed_folder(encoder, args.gallery)
    with tqdm(unit="picture", disable=not sys.stderr.isatty(), leave=False) as bar:
        report = evaluate_generation(
            encoder,
            generator,
            path,
            query=_SENSE[args.query],
            draws=args.draws,
            steps=args.steps,
            seed=args.seed,
            gallery=gallery,
            progress=lambda: bar.update() and None,
            keep=_keeper(args.out),
        )
    if args.json:
        print_json(
            "evaluate_generation", model=encoder.name, generator=generator.name, data=str(path), **report
        )
        return 0
    print(
        f"{generator.name} on {report['n']} entries of {path}: {report['draws']} pictures of each {args.query}"
    )
    names = {
        "round_trip": "picture drawn, embedded, named",
        "nearest_picture": "nearest picture, named",
        "query": f"{args.query} itself, named",
    }
    rows = [
        (label, *(_share(report[name][f"recall_at_{rank}"]) for rank in (1, 5)))
        for name, label in names.items()
    ]
    print_table(("%  [95 % interval], chance in brackets", "R@1", "R@5"), rows)
    print(f"{report['drawn']} entries drawn, {report['seconds_per_picture']:.2f} s a picture (median)")
    return 0


def _embed_folder(encoder: Encoder, folder: Path) -> np.ndarray:
    """Unit embeddings (N, dim) of the pictures below a folder."""
    import numpy as np

    from imagebind_node.files import modality_of, read_image

    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            if modality_of(path) is Modality.VISION:
                found += [
                    e.vector for e in encoder.encode(Modality.VISION, [read_image(path)]) if e.vector.size
                ]
        except InvalidInputError as error:
            logger.info("left out: %s", error)
    if not found:
        raise InvalidInputError(f"--gallery {folder} holds no picture")
    return np.stack(found)


def _keeper(folder: Path | None) -> Callable[[int, np.ndarray], None]:
    """What writes the pictures of an entry into `folder`: 007_0.png, 007_1.png, ..."""
    counts: Counter[int] = Counter()

    def keep(index: int, pixels: np.ndarray) -> None:
        if folder is None:
            return
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index:03d}_{counts[index]}.png")
        counts[index] += 1

    return keep


def _share(found: dict[str, Any]) -> str:
    low, high = found["ci95"]
    text = f"{100 * found['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{text} ({100 * found['chance']:.1f})" if "chance" in found else text


def _list_file(data: Path, name: str) -> Path:
    path = data / name if data.is_dir() else data
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file: DATA is a folder with {name}, or such a list")
    return path
