"""Which picture belongs to which measurement: by time, each used once."""

from __future__ import annotations

import numpy as np

from imagebind_node.errors import InvalidInputError


def match_stamps(first: np.ndarray, second: np.ndarray, slop: int) -> tuple[np.ndarray, np.ndarray]:
    """Pair the stamps of two streams, the nearest first; each is used at most once.

    first, second: int64 (N,), (M,) nanoseconds, in any order. slop: largest allowed distance in ns, >= 0.
    Returns indices int64 (P,), (P,) into both, ordered by time of the first. Equal distances go to the earlier
    stamp, so the result does not depend on the order of the input unless stamps repeat.
    Raises InvalidInputError for a negative slop.
    """
    if slop < 0:
        raise InvalidInputError(f"slop must not be negative, got {slop} ns")
    one, two = np.argsort(first, kind="stable"), np.argsort(second, kind="stable")
    a, b = np.asarray(first, np.int64)[one], np.asarray(second, np.int64)[two]
    low, high = np.searchsorted(b, a - slop, "left"), np.searchsorted(b, a + slop, "right")
    counts = high - low
    left = np.repeat(np.arange(len(a)), counts)
    right = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    free_a, free_b = np.ones(len(a), bool), np.ones(len(b), bool)
    chosen = []
    for k in np.lexsort((right, left, np.abs(a[left] - b[right]))):
        i, j = left[k], right[k]
        if free_a[i] and free_b[j]:
            free_a[i] = free_b[j] = False
            chosen.append((i, j))
    chosen.sort()
    pairs = np.array(chosen, np.int64).reshape(-1, 2)
    return one[pairs[:, 0]], two[pairs[:, 1]]
