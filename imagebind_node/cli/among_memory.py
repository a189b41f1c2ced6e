"""`retrieve --among MEMORY`: filters by time, modality and place, and results with their stamps."""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import load_model
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np

    from imagebind_node.embedding import Embedding
    from imagebind_node.memory.filters import Place
    from imagebind_node.memory.moment import Hit
    from imagebind_node.query import Query
    from imagebind_node.samples import Modality


def is_memory(among: str) -> bool:
    """True for a folder made by `index` or the memory node, and for a URL."""
    return among.startswith(("http://", "https://")) or (Path(among) / "memory.json").is_file()


def add_filter_arguments(parser: argparse.ArgumentParser) -> None:
    """What applies to a memory only."""
    group = parser.add_argument_group("with a memory")
    group.add_argument("--since", type=parse_time, metavar="TIME", help="ISO 8601 date and time, or seconds")
    group.add_argument("--until", type=parse_time, metavar="TIME", help="as --since")
    group.add_argument(
        "--near",
        metavar="X,Y,Z,RADIUS[,FRAME]",
        help="only moments within RADIUS metres of a place in FRAME (default: map)",
    )

    group.add_argument(
        "--newest",
        action="store_true",
        help="newest first among those that fit: when was it last?",
    )
    group.add_argument(
        "--min-cosine",
        type=float,
        metavar="C",
        help="what fits (default with --newest: 0.8 of the best cosine)",
    )


def parse_time(text: str) -> int:
    """argparse type: nanoseconds since the epoch of an ISO 8601 time (local time if it names no zone) or seconds."""
    with suppress(ValueError, OverflowError):
        return _in_range(text, int(float(text) * 1e9))
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return _in_range(text, int(moment.timestamp() * 1e9))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither seconds nor a time such as 2026-01-31T12:00"
        ) from None


def _in_range(text: str, stamp: int) -> int:
    """Stamps are kept as signed 64-bit nanoseconds: years 1678 to 2262."""
    if abs(stamp) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is too far from today")
    return stamp


def retrieve_from_memory(args: argparse.Namespace, query: Query, wanted: Modality | None) -> int:
    """Search, print, exit status."""
    import numpy as np

    from imagebind_node.arithmetic import contributions
    from imagebind_node.memory.filters import MemoryFilter
    from imagebind_node.memory.recency import search_newest
    from imagebind_node.memory.store import open_memory

    where = MemoryFilter(
        since=args.since,
        until=args.until,
        modalities=() if wanted is None else (wanted,),
        place=_place(args.near),
    )
    encoder = load_model(args, query.modalities)
    terms = query.embed_terms(encoder)
    target = query.combine(terms, spherical=args.spherical)
    if not target.vector.size:
        raise InvalidInputError(
            f"query {args.query!r} abstained and has no vector: too little evidence in it"
        )
    with open_memory(args.among, encoder.space) as store:
        total = store.count(where)
        if args.newest:
            hits = search_newest(store, target, args.top, where, floor=args.min_cosine, with_vectors=True)
        else:
            hits = store.search(target, args.top, where, with_vectors=True)
            hits = [hit for hit in hits if args.min_cosine is None or hit.score >= args.min_cosine]
    vectors = (
        np.stack([hit.vector for hit in hits if hit.vector is not None])
        if hits
        else np.zeros((0, encoder.space.dim))
    )
    shares = contributions(terms, target, vectors)
    if args.json:
        print_json(
            "retrieve",
            model=encoder.name,
            query=describe_query(query, target),
            candidates=total,
            results=[
                {
                    "input": hit.moment.source,
                    "cosine": hit.score,
                    "contributions": share,
                    "id": hit.id,
                    "stamp": hit.moment.stamp,
                    "window": hit.moment.window,
                    "modality": hit.moment.modality.value,
                    "abstained": hit.moment.abstained,
                    "frame_id": hit.moment.frame_id,
                    "robot": hit.moment.robot,
                    "labels": [{"name": name, "score": score} for name, score in hit.moment.labels],
                    "media": hit.moment.media,
                    "position": None if hit.moment.pose is None else hit.moment.pose.position,
                    "orientation": None if hit.moment.pose is None else hit.moment.pose.orientation,
                    "position_frame": None if hit.moment.pose is None else hit.moment.pose.frame_id,
                }
                for hit, share in zip(hits, shares)
            ],
            skipped=[],
        )
        return 0
    if target.abstained:
        print("the query abstained (too little evidence): do not trust this order")
    rows = [
        (
            i + 1,
            hit.score,
            *shown_shares(share),
            _when(hit.moment.stamp),
            hit.moment.modality.value,
            _where(hit),
            hit.moment.source,
        )
        for i, (hit, share) in enumerate(zip(hits, shares))
    ]
    titles = ("rank", "cosine", *shares_title(query), "time (UTC)", "modality", "place (m)", "source")
    print_table(titles, rows)
    return 0


def describe_query(query: Query, target: Embedding) -> dict[str, Any]:
    """For JSON: as written, whether it abstained, and its terms."""
    return {
        "input": query.text,
        "abstained": target.abstained,
        "terms": [{"input": term.source, "weight": term.weight} for term in query.terms],
    }


def shares_title(query: Query) -> tuple[str, ...]:
    """Title of the column with what each term added to the cosine; none if there is but one term."""
    return ("of each term",) if len(query.terms) > 1 else ()


def shown_shares(share: np.ndarray) -> tuple[str, ...]:
    """That column: 0.21 + 0.13 - 0.05."""
    if len(share) < 2:
        return ()
    signed = "".join(f" {'-' if value < 0 else '+'} {abs(value):.3f}" for value in share)
    return (signed.removeprefix(" + ").strip(),)


def _place(text: str | None) -> Place | None:
    from imagebind_node.memory.filters import Place

    if text is None:
        return None
    try:
        *numbers, frame = text.split(",") if text.count(",") > 3 else (*text.split(","), "map")
        x, y, z, radius = map(float, numbers)
    except ValueError:
        raise InvalidInputError(
            f"--near {text!r}: write X,Y,Z,RADIUS in metres and a frame if it is not map, such as 1,2,0,5,odom"
        ) from None
    return Place((x, y, z), radius, frame.strip())


def _where(hit: Hit) -> str:
    pose = hit.moment.pose
    if pose is None:
        return "-"
    x, y, z = pose.position
    return f"{x:.1f}, {y:.1f}, {z:.1f} {pose.frame_id}"


def _when(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
