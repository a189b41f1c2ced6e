"""Rank files by how well they fit a query of any modality.

example:
  imagebind-node retrieve 'image:crane.jpg + audio:waves.wav' --among photos/ --top 5
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from imagebind_node.cli.among_memory import (
    add_filter_arguments,
    describe_query,
    is_memory,
    retrieve_from_memory,
    shares_title,
    shown_shares,
)
from imagebind_node.cli.options import add_model_arguments, load_model, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help="file, MODALITY:PATH, text:WORDS or a sum of them")
    parser.add_argument(
        "--among",
        required=True,
        metavar="DIR_OR_LIST",
        help="folder, text file with one input a line, memory made by `index`, or URL of a Qdrant server",
    )
    parser.add_argument("--modality", metavar="M", help="only candidates of this modality")
    parser.add_argument(
        "--top", type=positive_int, default=5, metavar="K", help="how many to show (default: 5)"
    )
    parser.add_argument(
        "--spherical", action="store_true", help="combine terms along the unit sphere instead of by their sum"
    )
    add_filter_arguments(parser)
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    from imagebind_node.arithmetic import contributions
    from imagebind_node.query import parse_query
    from imagebind_node.samples import parse_modality

    query = parse_query(args.query)
    wanted = None if args.modality is None else parse_modality(args.modality)
    if is_memory(args.among):
        return retrieve_from_memory(args, query, wanted)
    candidates = _candidates(Path(args.among), wanted)
    encoder = load_model(args, query.modalities | {modality for _, modality in candidates})
    terms = query.embed_terms(encoder)
    target = query.combine(terms, spherical=args.spherical)
    if not target.vector.size:
        raise InvalidInputError(
            f"query {args.query!r} abstained and has no vector: too little evidence in it"
        )
    ranked: list[tuple[str, float, np.ndarray]] = []
    skipped = []
    for name, _ in tqdm(candidates, unit="file", disable=not sys.stderr.isatty(), leave=False):
        try:
            embedding = parse_query(name).embed(encoder)
        except InvalidInputError as error:
            logger.warning("skipped %s: %s", name, error)
            skipped.append({"input": name, "reason": str(error)})
            continue
        if embedding.vector.size:
            ranked.append((name, target @ embedding, embedding.vector))
        else:
            skipped.append({"input": name, "reason": "abstained: too little evidence"})
    ranked.sort(key=lambda pair: -pair[1])
    best = ranked[: args.top]
    vectors = np.array([vector for _, _, vector in best]).reshape(len(best), encoder.space.dim)
    shares = contributions(terms, target, vectors)
    if args.json:
        print_json(
            "retrieve",
            model=encoder.name,
            query=describe_query(query, target),
            candidates=len(candidates),
            results=[
                {"input": name, "cosine": cosine, "contributions": share}
                for (name, cosine, _), share in zip(best, shares)
            ],
            skipped=skipped,
        )
        return 0
    if target.abstained:
        print("the query abstained (too little evidence): do not trust this order")
    rows = [
        (i + 1, cosine, *shown_shares(share), name)
        for i, ((name, cosine, _), share) in enumerate(zip(best, shares))
    ]
    print_table(("rank", "cosine", *shares_title(query), "input"), rows)
    return 0


def _candidates(among: Path, wanted: Modality | None) -> list[tuple[str, Modality]]:
    """[(input, modality)]. Files of a folder whose type does not tell are left out; lines of a list are not."""
    from imagebind_node.files import modality_of, read_text
    from imagebind_node.query import parse_query

    found: list[tuple[str, Modality]] = []
    if among.is_dir():
        for path in sorted(p for p in among.rglob("*") if p.is_file()):
            try:
                found.append((str(path), modality_of(path)))
            except InvalidInputError as error:
                logger.info("left out: %s", error)
    else:
        for line in filter(None, map(str.strip, read_text(among).data.splitlines())):
            found += [(line, modality) for modality in sorted(parse_query(line).modalities)[:1]]
    found = [entry for entry in found if wanted is None or entry[1] is wanted]
    if not found:
        raise InvalidInputError(f"{among} holds nothing to choose from: no picture, sound or listed input")
    return found
