"""Look into a memory, upload it to the fleet's Qdrant server, or forget parts of it.

examples:
  imagebind-node memory info memory/
  imagebind-node memory upload memory/ http://fleet.local:6333
  imagebind-node memory forget memory/ --until 2026-01-31
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imagebind_node.cli.among_memory import parse_time
from imagebind_node.cli.options import add_output_arguments
from imagebind_node.cli.output import print_json
from imagebind_node.errors import InvalidInputError

if TYPE_CHECKING:
    from imagebind_node.memory.edge.store import EdgeStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in (
        ("info", "space, number of memories, time span"),
        ("upload", "copy to a Qdrant server; run again to go on or to add what is new"),
        ("forget", "delete a span of time"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("folder", type=Path, metavar="DIR", help="folder of the memory")
        if name == "upload":
            action.add_argument("url", metavar="URL", help="Qdrant server, such as http://fleet.local:6333")
        if name == "forget":
            action.add_argument("--since", type=parse_time, metavar="TIME", help="ISO 8601 time or seconds")
            action.add_argument("--until", type=parse_time, metavar="TIME", help="as --since")
        add_output_arguments(action)


def run(args: argparse.Namespace) -> int:
    with _open(args.folder) as store:
        result = {"info": _info, "upload": _upload, "forget": _forget}[args.action](args, store)
    if args.json:
        print_json("memory", action=args.action, **result)
    else:
        for name, value in result.items():
            print(f"{name}: {value}")
    return 0


def _open(folder: Path) -> EdgeStore:
    from imagebind_node.memory.edge.manifest import read_manifest
    from imagebind_node.memory.edge.store import EdgeStore

    manifest = read_manifest(folder)
    if manifest is None:
        raise InvalidInputError(
            f"{folder} is not a memory: make one with imagebind-node index PATH --memory DIR"
        )
    return EdgeStore(folder, manifest.space, index=False)


def _info(args: argparse.Namespace, store: EdgeStore) -> dict[str, object]:
    first, last = store.span()
    return {
        "space": store.space.id,
        "dim": store.space.dim,
        "memories": store.count(),
        "first_stamp": first,
        "last_stamp": last,
    }


def _upload(args: argparse.Namespace, store: EdgeStore) -> dict[str, object]:
    from tqdm import tqdm

    from imagebind_node.memory.store import open_memory
    from imagebind_node.memory.upload import upload

    if "://" not in args.url:
        raise InvalidInputError(f"{args.url!r} is no URL: write http://HOST:6333")
    with (
        open_memory(args.url, store.space) as target,
        tqdm(total=store.count(), disable=not sys.stderr.isatty(), leave=False) as bar,
    ):
        report = upload(store, target, args.url, progress=lambda n: bar.update(n) and None)
        return {"sent": report.sent, "skipped_shards": report.skipped_shards, "total": target.count()}


def _forget(args: argparse.Namespace, store: EdgeStore) -> dict[str, object]:
    from imagebind_node.memory.filters import MemoryFilter
    from imagebind_node.memory.memory import Memory

    if args.since is None and args.until is None:
        raise InvalidInputError("say what to forget: --since TIME, --until TIME or both")
    memory = Memory(store, media=args.folder)
    return {
        "forgotten": memory.forget(MemoryFilter(since=args.since, until=args.until)),
        "left": store.count(),
    }
