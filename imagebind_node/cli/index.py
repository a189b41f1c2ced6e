"""Remember what folders, videos, sounds and bags hold, so that `retrieve --among MEMORY` finds it.

Run it again to go on after an interruption or to add what is new: finished files are skipped.

example:
  imagebind-node index photos/ ride.mp4 bags/monday --memory memory/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imagebind_node.cli.options import add_model_arguments, load_model, positive_float, positive_int
from imagebind_node.cli.output import print_json
from imagebind_node.errors import InvalidInputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file, folder or rosbag2")
    parser.add_argument(
        "--memory",
        required=True,
        metavar="DIR_OR_URL",
        help="folder of the memory, or URL of a Qdrant server",
    )
    parser.add_argument(
        "--journal",
        type=Path,
        metavar="FILE",
        help="list of finished files, to go on from (default: in the memory's folder; with a URL: none)",
    )
    parser.add_argument(
        "--every",
        type=positive_float,
        default=1.0,
        metavar="S",
        help="seconds between frames of a video or bag",
    )
    parser.add_argument("--robot", default="", metavar="NAME", help="written into every memory")
    parser.add_argument(
        "--pose-frame",
        default="map",
        metavar="FRAME",
        help="fixed frame of the poses in bags that recorded tf (default: map)",
    )
    parser.add_argument(
        "--ray",
        type=positive_int,
        metavar="N",
        help="encode in N worker processes of a Ray cluster (extra `ray`)",
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from imagebind_node.memory.store import open_memory
    from imagebind_node.retrieval.encode import IndexOptions
    from imagebind_node.retrieval.files import find_sources
    from imagebind_node.retrieval.job import JOURNAL, index_sources, local_worker

    sources, refused = find_sources(args.paths)
    if not sources:
        raise InvalidInputError(
            "nothing to index: no picture, video, sound, IMU table or bag under the paths"
        )
    encoder = load_model(args, None)
    options = IndexOptions(args.every, args.robot, args.pose_frame)
    journal = args.journal
    if journal is None and "://" not in args.memory and args.memory != ":memory:":
        journal = Path(args.memory) / JOURNAL
    if args.ray:
        from imagebind_node.retrieval.fleet import ray_worker

        model = {"name": args.model, "checkpoint": args.checkpoint, "precision": args.precision}
        work = ray_worker(model, encoder.space.dim, options, workers=args.ray)
    else:
        work = local_worker(encoder, options)
    with open_memory(args.memory, encoder.space) as store:
        with tqdm(total=len(sources), unit="file", disable=not sys.stderr.isatty(), leave=False) as bar:
            report = index_sources(
                sources, store, work, journal=journal, progress=lambda _: bar.update() and None
            )
        total = store.count()
    unreadable = sorted([*report.unreadable, *refused])
    if args.json:
        print_json(
            "index",
            model=encoder.name,
            memory=args.memory,
            sources=report.sources,
            skipped=report.skipped,
            moments=report.moments,
            abstained=report.abstained,
            total=total,
            unreadable=[{"input": path, "reason": reason} for path, reason in unreadable],
        )
        return 0
    print(
        f"{report.sources} files gave {report.moments} memories ({report.abstained} pieces held "
        f"nothing, as silence does), "
        f"{report.skipped} were done before; the memory holds {total}"
    )
    for path, reason in unreadable:
        print(f"left out {path}: {reason}")
    return 0
