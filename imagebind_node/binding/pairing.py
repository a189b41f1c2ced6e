"""Recordings -> shards of (picture, measurement) pairs, matched by time and split by session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagebind_node.binding.matching import match_stamps
from imagebind_node.binding.recordings import Found, Source, Streams, open_recording
from imagebind_node.binding.sessions import SPLITS, deal, sessions_by_time
from imagebind_node.binding.shards import Pair, ShardWriter
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import MEBI

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How pictures and measurements become pairs, and pairs splits.

    slop: largest distance of a picture and its measurement, s. every: least distance of two pictures, s (of
    sound and motion at least `window`, so that no stretch is used twice). session_gap: recordings that follow
    within so many seconds, or overlap, are one session. shares, seed: see `deal`. fixed: recording (its path) to
    split, for those that are not to be dealt. side: shorter side of the stored pictures, pixels.
    """

    slop: float = 0.05
    every: float = 0.0
    session_gap: float = 60.0
    shares: Mapping[str, float] = field(default_factory=SHARES.copy)
    fixed: Mapping[Path, str] = field(default_factory=dict)
    seed: int = 0
    side: int = 256
    shard_bytes: int = 64 * MEBI


@dataclass
class _Matched:
    name: str
    source: Source
    images: np.ndarray
    senses: np.ndarray
    span: tuple[int, int]


def make_pairs(paths: Sequence[Path], streams: Streams, pairing: Pairing, out: Path) -> dict[str, Any]:
    """Write the pairs of all recordings to `out`; returns the index (see `shards`).

    Raises InvalidInputError: a recording is damaged or lacks a topic, nothing matches within the slop, too few
    sessions for the splits, or `out` is not empty.
    """
    names = _names(paths)
    matched = [_match(name, path, streams, pairing) for name, path in zip(names, paths)]
    kinds = sorted({m.source.kind for m in matched})
    if len(kinds) > 1:
        raise InvalidInputError(
            f"{streams.sense} is of different types in these recordings: {', '.join(kinds)}"
        )
    numbers = sessions_by_time([m.span for m in matched], pairing.session_gap)
    sessions = _sessions(matched, numbers, paths, pairing)
    writer = ShardWriter(out, pairing.shard_bytes)
    written: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    incomplete = 0
    for number, recording in enumerate(matched):
        session = f"session_{numbers[number]:04d}"
        for image, sense in _content(recording):
            pair = _pair(f"{number:04d}_{written[session]:07d}", image, sense, session, pairing.side)
            if pair is None:
                incomplete += 1
                continue
            writer.add(sessions[session], pair)
            written[session] += 1
        problems += recording.source.problems
    if not written:
        reasons = [reason for m in matched for reason in m.source.reasons.values()]
        raise InvalidInputError(
            "no pair could be read: " + (reasons[0] if reasons else "sound or motion has gaps everywhere")
        )
    facts = {
        "streams": {**asdict(streams), "definitions": dict(streams.definitions)},
        "kind": kinds[0],
        "slop": pairing.slop,
        "every": pairing.every,
        "seed": pairing.seed,
        "sessions": {
            session: {
                "split": sessions[session],
                "pairs": written[session],
                "recordings": [m.name for m, n in zip(matched, numbers) if f"session_{n:04d}" == session],
            }
            for session in sessions
        },
        "matched": sum(len(m.images) for m in matched),
        "pictures": sum(len(m.source.stamps(streams.image)) for m in matched),
        "incomplete": incomplete,
        "unusable": dict(problems),
    }
    writer.close(facts)
    return {**facts, "shards": writer.shards}


def _names(paths: Sequence[Path]) -> list[str]:
    resolved = [path.expanduser().resolve() for path in paths]
    twice = [path for path, count in Counter(resolved).items() if count > 1]
    if twice or not paths:
        raise InvalidInputError(f"{twice[0]} is given twice" if twice else "give at least one recording")
    return [path.name for path in resolved]


def _match(name: str, path: Path, streams: Streams, pairing: Pairing) -> _Matched:
    source = open_recording(path, streams)
    pictures, senses = source.stamps(streams.image), source.stamps(streams.sense)
    every = max(pairing.every, streams.window) if source.signal else pairing.every
    thinned = _thin(pictures, round(every * 1e9))
    if source.signal:
        images = partners = thinned
    else:
        first, second = match_stamps(thinned, senses, round(pairing.slop * 1e9))
        images, partners = thinned[first], senses[second]
    if len(images) == 0:
        after = np.searchsorted(senses, pictures)
        apart = np.minimum(
            np.abs(pictures - senses[after.clip(max=len(senses) - 1)]),
            np.abs(pictures - senses[(after - 1).clip(0)]),
        )
        raise InvalidInputError(
            f"{path}: no picture of {streams.image} has a message of {streams.sense} within {pairing.slop} s (the "
            f"nearest are {apart.min() / 1e9:.3f} s apart): check the clocks, or use a larger slop or --received"
        )
    span = min(pictures[0], senses[0]), max(pictures[-1], senses[-1])
    return _Matched(name, source, images, partners, (int(span[0]), int(span[1])))


def _thin(stamps: np.ndarray, every: int) -> np.ndarray:
    kept: list[int] = []
    for stamp in stamps:
        if not kept or stamp - kept[-1] >= every:
            kept.append(int(stamp))
    return np.array(kept, np.int64)


def _sessions(
    matched: list[_Matched], numbers: list[int], paths: Sequence[Path], pairing: Pairing
) -> dict[str, str]:
    """Session to split."""
    pairs: Counter[str] = Counter()
    fixed: dict[str, str] = {}
    wanted = {Path(path).expanduser().resolve(): split for path, split in pairing.fixed.items()}
    unknown = set(wanted) - {path.expanduser().resolve() for path in paths}
    if unknown:
        raise InvalidInputError(f"{sorted(unknown)[0]} is to be of a split but is not among the recordings")
    for recording, number, path in zip(matched, numbers, paths):
        session, split = f"session_{number:04d}", wanted.get(path.expanduser().resolve())
        pairs[session] += len(recording.images)
        if split is None:
            continue
        if fixed.setdefault(session, split) != split:
            raise InvalidInputError(
                f"{recording.name} cannot be of {split}: it overlaps or follows within {pairing.session_gap:g} s a "
                f"recording of {fixed[session]} (same session)"
            )
    dealt = deal(pairs, pairing.shares, fixed, pairing.seed)
    return {session: dealt[session] for session in sorted(dealt)}


def _content(recording: _Matched) -> Iterator[tuple[Found, Found]]:
    """The two halves of each pair, brought together while both streams are read side by side."""
    partner = dict(zip(recording.senses.tolist(), recording.images.tolist()))
    images: dict[int, Found] = {}
    senses: dict[int, Found] = {}
    streams: list[tuple[Iterator[Found], dict[int, Found]]] = [
        (recording.source.pictures(recording.images), images),
        (recording.source.senses(recording.senses), senses),
    ]
    while streams:
        for stream, waiting in list(streams):
            found = next(stream, None)
            if found is None:
                streams.remove((stream, waiting))
                continue
            key = partner[found[0]] if waiting is senses else found[0]
            waiting[key] = found
            if key in images and key in senses:
                yield images.pop(key), senses.pop(key)


def _pair(key: str, image: Found, sense: Found, session: str, side: int) -> Pair | None:
    if image[1] is None or sense[1] is None:
        return None
    facts = {**sense[2], "image_stamp": image[0], "sense_stamp": sense[0], "session": session}
    height, width = image[1].shape[:2]
    scale = side / min(height, width)
    picture = image[1]
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return Pair(key, picture, sense[1], facts)


def shares_of(text: str) -> dict[str, float]:
    """`0.8,0.1,0.1` -> shares of SPLITS. Raises InvalidInputError."""
    try:
        values = [float(part) for part in text.split(",")]
        return dict(zip(SPLITS, values, strict=True))
    except ValueError:
        raise InvalidInputError(
            f"shares {text!r} must be three numbers: of {', '.join(SPLITS)}, as in 0.8,0.1,0.1"
        ) from None
