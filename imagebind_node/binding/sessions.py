"""Whole sessions go to training, validation or test: neighbouring frames never stand on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from imagebind_node.errors import InvalidInputError

SPLITS = ("train", "val", "test")


def sessions_by_time(ranges: Sequence[tuple[int, int]], gap: float) -> list[int]:
    """Number of the session of each recording: those that overlap, or follow within `gap` seconds, are one.

    ranges: first and last stamp of each recording, in ns. Sessions count from 0 in order of time.
    """
    numbers = [0] * len(ranges)
    session, end = -1, 0
    for index in sorted(range(len(ranges)), key=lambda i: ranges[i]):
        first, last = ranges[index]
        if session < 0 or first > end + round(gap * 1e9):
            session, end = session + 1, last
        numbers[index], end = session, max(end, last)
    return numbers


def deal(
    pairs: Mapping[str, int],
    shares: Mapping[str, float],
    fixed: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, str]:
    """Session to split, so that the splits come near their shares of all pairs.

    pairs: number of pairs of each session; shares: of each of SPLITS, >= 0; fixed: sessions that were dealt by
    hand. Every split with a share gets at least one session. The order is by a hash of name and seed: the same
    on every machine. Raises InvalidInputError if there are fewer sessions than splits, or for bad shares.
    """
    result = dict(fixed or {})
    if set(shares) != set(SPLITS) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise InvalidInputError(
            f"shares must be three numbers >= 0, of {', '.join(SPLITS)}: got {dict(shares)}"
        )
    total, goal = sum(pairs.values()), sum(shares.values())
    filled = {split: sum(pairs[s] for s in result if result[s] == split) for split in SPLITS}
    rest = sorted((s for s in pairs if s not in result), key=lambda s: _hash(seed, s))
    empty = [split for split in SPLITS if shares[split] > 0 and split not in result.values()]
    if len(rest) < len(empty):
        raise InvalidInputError(
            f"{len(pairs)} session(s) cannot fill {', '.join(empty)} without a leak: record more drives, give "
            "those splits a share of 0, or name recordings for them"
        )
    for session in rest:
        # Splits that have nothing yet come first; then the one that lacks the most of its share.
        split = max(
            empty or [s for s in SPLITS if shares[s] > 0],
            key=lambda name: shares[name] / goal * total - filled[name],
        )
        empty = [name for name in empty if name != split]
        result[session] = split
        filled[split] += pairs[session]
    return result


def _hash(seed: int, session: str) -> str:
    return hashlib.sha256(f"{seed}/{session}".encode()).hexdigest()
