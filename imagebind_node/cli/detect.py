"""Find the things in a picture that fit a query: a sound, words, a picture, or a sum of them.

examples:
  imagebind-node detect --image yard.jpg --query bark.wav --out found.png
  imagebind-node detect --image yard.jpg --query text:dog --query text:cow
  imagebind-node detect --image yard.jpg --query 'audio:bark.wav + 0.5 * text:"brown dog"'

Every --query is one class. A query with too little evidence (silence) abstains: nothing is searched for it.
A score is the share of unrelated cues that fit the box worse (0.99: better than 99 of 100).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.cli.options import add_model_arguments, fraction, load_model, positive_int
from imagebind_node.cli.output import embedding_fields, heard, print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImageSample, Modality

if TYPE_CHECKING:
    import numpy as np

    from imagebind_node.detection.detections import Detections
    from imagebind_node.query import Query


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", required=True, metavar="FILE", help="the picture to search")
    parser.add_argument(
        "--query",
        required=True,
        action="append",
        metavar="Q",
        help="what to look for; repeat for more classes",
    )
    parser.add_argument("--label", action="append", metavar="NAME", help="name of a query, in the same order")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PNG",
        help="write the picture with boxes, over a heat map if there is one query",
    )
    parser.add_argument(
        "--detector", metavar="NAME", help="concept, dense, crops or owlvit (default: by model)"
    )
    parser.add_argument(
        "--min-score",
        type=fraction,
        metavar="S",
        help="0 to 1 (default: 0.95 where scores are percentiles, as with concept, else 0.5)",
    )
    parser.add_argument("--max", type=positive_int, default=5, metavar="N", help="most boxes (default: 5)")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.files import read_image
    from imagebind_node.query import parse_query

    queries = [parse_query(text) for text in args.query]
    labels = _labels(args.label, queries)
    if args.out is not None and args.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InvalidInputError(f"--out {args.out}: write a .png or .jpg")
    image = read_image(args.image)

    from imagebind_node.detection.registry import default_detector, load_detector

    encoder = load_model(args, frozenset([Modality.VISION]).union(*(query.modalities for query in queries)))
    embeddings = [query.embed(encoder) for query in queries]
    detector = load_detector(args.detector or default_detector(args.model), encoder)
    classes = detector.new_classes()
    active = [(label, e) for label, e in zip(labels, embeddings) if not e.abstained]
    classes.replace([label for label, _ in active], [e for _, e in active])
    min_score = classes.default_min_score if args.min_score is None else args.min_score
    found = detector.detect(image, classes, min_score=min_score, max_detections=args.max)
    if args.out is not None:
        heat = detector.similarity_map(image, active[0][1]) if len(active) == 1 else None
        _write(args.out, image, found, labels, heat)
    if args.json:
        print_json(
            "detect",
            model=encoder.name,
            image={"path": args.image, "width": image.data.shape[1], "height": image.data.shape[0]},
            queries=[
                {"label": label, **embedding_fields(text, e, vector=False)}
                for label, text, e in zip(labels, args.query, embeddings)
            ],
            detections=_detections(found),
        )
        return 0
    for label, embedding in zip(labels, embeddings):
        recognised = f" ({heard(embedding)})" if embedding.labels else ""
        state = "abstained, too little evidence: not searched" if embedding.abstained else "searched"
        print(f"query {label}: {state}{recognised}")
    if len(found):
        rows = [
            (d["label"], d["score"], d["cosine"], "[" + ", ".join(f"{v:.0f}" for v in d["box"]) + "]")
            for d in _detections(found)
        ]
        print_table(("label", "score", "cosine", "box [x0, y0, x1, y1] pixels"), rows)
    elif active:
        print(f"nothing reaches a score of {min_score}")
    return 0


def _labels(given: list[str] | None, queries: list[Query]) -> list[str]:
    if given is not None and len(given) != len(queries):
        raise InvalidInputError(f"{len(given)} --label for {len(queries)} --query: give one for each or none")
    labels = given or [query.label for query in queries]
    repeated = {label for label in labels if labels.count(label) > 1}
    if repeated:
        raise InvalidInputError(f"two queries are called {repeated.pop()!r}: tell them apart with --label")
    return labels


def _detections(found: Detections) -> list[dict]:
    pairs = zip(found.labels, found.scores, found.similarities, found.boxes)
    return [
        {"label": label, "score": float(score), "cosine": float(cosine), "box": [float(v) for v in box]}
        for label, score, cosine, box in pairs
    ]


def _write(
    path: Path, image: ImageSample, found: Detections, labels: list[str], heat: np.ndarray | None
) -> None:
    from PIL import Image

    from imagebind_node.drawing import COLOURS, LabelledBox, draw_boxes, overlay_heat

    boxes = [
        LabelledBox(box, f"{label} {score:.2f}", COLOURS[labels.index(label) % len(COLOURS)])
        for label, score, box in zip(found.labels, found.scores, found.boxes)
    ]
    picture = image.data if heat is None else overlay_heat(image.data, heat)
    try:
        Image.fromarray(draw_boxes(picture, boxes[::-1])).save(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from None
