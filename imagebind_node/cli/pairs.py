"""Make (picture, measurement) pairs of recordings, to bind a sense to pictures.

A picture is paired with the nearest message of the other sensor, each used once; of sound and motion, the stretch
around the picture is taken. Whole sessions go to training, validation or test: recordings that overlap, or follow
within a minute, count as one session. ROS is not needed. What is written: docs/binding_data.md

examples:
  imagebind-node pairs monday/ tuesday/ friday/ --image /camera/image_raw --sense /scan --out pairs/
  imagebind-node pairs drives/*/ --image /camera/image_raw --sense /audio --window 2 --out pairs/ --test drives/9/
  imagebind-node pairs tum/ --image rgb --sense depth --as depth --shares 1,0,0 --out pairs/
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imagebind_node.cli.options import add_output_arguments, positive_float, positive_int
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import MEBI, decoding, read_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recordings",
        nargs="+",
        type=Path,
        metavar="RECORDING",
        help="bag folder, .mcap, .bag, or a folder with a subfolder of files a stream, named by their time",
    )
    parser.add_argument("--image", required=True, metavar="TOPIC", help="of pictures; a subfolder's name")
    parser.add_argument(
        "--sense", required=True, metavar="TOPIC", help="of the other sensor; a subfolder's name"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="new folder for the shards")
    parser.add_argument(
        "--read",
        metavar="WHAT",
        help="field of the sense's message, or module:function (default: by type, as `ranges` of a LaserScan)",
    )
    parser.add_argument(
        "--definition",
        action="append",
        default=[],
        metavar="PKG/msg/TYPE=FILE",
        help="the .msg file of a message type that ROS 2 does not bring; may be repeated",
    )
    parser.add_argument("--as", dest="modality", metavar="MODALITY", help="how files of a folder are read")
    parser.add_argument(
        "--slop",
        type=positive_float,
        default=0.05,
        metavar="S",
        help="largest distance of a pair (default: 0.05)",
    )
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="S", help="least distance of two pictures (default: 0)"
    )
    parser.add_argument(
        "--window", type=positive_float, default=2.0, metavar="S", help="of sound and motion (default: 2)"
    )
    parser.add_argument(
        "--received", action="store_true", help="go by the time of recording, not by the stamps of messages"
    )
    parser.add_argument(
        "--shares",
        default="0.8,0.1,0.1",
        metavar="A,B,C",
        help="of train, val and test (default: 0.8,0.1,0.1)",
    )
    for split in ("val", "test"):
        parser.add_argument(
            f"--{split}", action="append", default=[], type=Path, metavar="RECORDING", help=f"is of {split}"
        )
    parser.add_argument(
        "--session-gap",
        type=float,
        default=60.0,
        metavar="S",
        help="recordings closer than this are one session (default: 60)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split (default: 0)")
    parser.add_argument(
        "--side",
        type=positive_int,
        default=256,
        metavar="PX",
        help="shorter side of stored pictures (default: 256)",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.binding.pairing import Pairing, make_pairs, shares_of
    from imagebind_node.binding.recordings import Streams

    if args.every < 0 or args.session_gap < 0:
        raise InvalidInputError("--every and --session-gap must not be negative")
    streams = Streams(
        image=args.image,
        sense=args.sense,
        read=args.read,
        window=args.window,
        received=args.received,
        definitions=dict(_definition(text) for text in args.definition),
        modality=args.modality,
    )
    fixed = {path: split for split in ("val", "test") for path in getattr(args, split)}
    pairing = Pairing(
        slop=args.slop,
        every=args.every,
        session_gap=args.session_gap,
        shares=shares_of(args.shares),
        fixed=fixed,
        seed=args.seed,
        side=args.side,
    )
    index = make_pairs(args.recordings, streams, pairing, args.out)
    if args.json:
        print_json("pairs", out=str(args.out), **index)
        return 0
    rows = [
        (name, s["split"], s["pairs"], ", ".join(s["recordings"])) for name, s in index["sessions"].items()
    ]
    print_table(("session", "split", "pairs", "recordings"), rows)
    print(
        f"{index['matched']} of {index['pictures']} pictures matched a {index['kind']}; {index['incomplete']} pairs "
        f"were incomplete; unusable messages: {sum(index['unusable'].values())}"
    )
    return 0


def _definition(text: str) -> tuple[str, str]:
    name, _, file = text.partition("=")
    with decoding(file, "message definition", "write PKG/msg/TYPE=FILE with a .msg file"):
        return name, read_bytes(file, MEBI).decode("utf-8")
