"""Embed a recording (rosbag2 MCAP or SQLite, ROS 1), message by message: every run gives the same embeddings.

The same streams as in the encoder node, but by the time of the recording, so that nothing is dropped. ROS is not
needed. To play a recording to running nodes: ros2 run imagebind_node replay --ros-args -p bag:=FOLDER

examples:
  imagebind-node replay monday/
  imagebind-node replay monday/ --out embeddings.npz --modalities vision,imu
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from imagebind_node.cli.options import add_model_arguments, load_model, positive_float
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality, parse_modality

_SENSES = ("vision", "audio", "depth", "thermal", "imu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="bag folder, .mcap or .bag")
    parser.add_argument(
        "--modalities",
        default=",".join(_SENSES),
        metavar="A,B",
        help=f"of {', '.join(_SENSES)} (default: all)",
    )
    parser.add_argument(
        "--rate", type=positive_float, metavar="HZ", help="pictures a second at most (default: all)"
    )
    parser.add_argument(
        "--hop", type=positive_float, default=0.1, metavar="S", help="of sound (default: 0.1)"
    )
    parser.add_argument(
        "--imu-hop", type=positive_float, default=0.5, metavar="S", help="of motion (default: 0.5)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write vectors, stamps (ns), modalities and topics to this .npz",
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from imagebind_node.sensors.bag import Recording
    from imagebind_node.streaming.offline import OfflineEncoder

    modalities = frozenset(
        parse_modality(name.strip()) for name in args.modalities.split(",") if name.strip()
    )
    if not modalities or Modality.TEXT in modalities:
        raise InvalidInputError(f"--modalities {args.modalities}: use any of {', '.join(_SENSES)}")
    recording = Recording(args.bag)
    encoder = load_model(args, modalities)
    rates = dict.fromkeys(modalities, args.rate or 0.0)
    offline = OfflineEncoder(encoder, rates=rates, hop=args.hop, imu_hop=args.imu_hop)
    found = list(offline.embed(recording.messages()))
    problems = recording.problems + offline.problems
    if not found:
        reason = offline.last_problem or "no window of sound or motion was complete"
        raise InvalidInputError(f"bag {args.bag} gave no embedding: {reason}")
    digest = hashlib.sha256()
    for _, embedding in found:
        digest.update(embedding.vector.tobytes())
    if args.out is not None:
        with_vector = [(topic, e) for topic, e in found if e.vector.size]
        _save(
            args.out,
            vectors=np.stack([e.vector for _, e in with_vector])
            if with_vector
            else np.zeros((0, encoder.space.dim)),
            stamps=np.array([e.stamp for _, e in with_vector], np.int64),
            modalities=np.array([e.modality.value for _, e in with_vector], "U8"),
            topics=np.array([topic for topic, _ in with_vector], "U"),
        )
    counts: Counter[tuple[str, str]] = Counter((topic, e.modality.value) for topic, e in found)
    silent = Counter(topic for topic, e in found if e.abstained)
    topics = [
        {"topic": t, "modality": m, "embeddings": n, "abstained": silent[t], "unusable messages": problems[t]}
        for (t, m), n in sorted(counts.items())
    ]
    if args.json:
        print_json(
            "replay",
            model=encoder.name,
            space=encoder.space.id,
            topics=topics,
            unusable=dict(problems),
            ignored=recording.ignored,
            sha256=digest.hexdigest(),
        )
        return 0
    print_table(tuple(topics[0]), [tuple(row.values()) for row in topics])
    print(f"sha256 of all vectors: {digest.hexdigest()}")
    return 0


def _save(path: Path, **arrays: Any) -> None:
    import numpy as np

    try:
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from None
