"""Pairs by time, and sessions that are never torn apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.binding.matching import match_stamps
from imagebind_node.binding.sessions import SPLITS, deal, sessions_by_time
from imagebind_node.errors import InvalidInputError

STAMPS = st.lists(st.integers(0, 200), unique=True, max_size=25)


@settings(max_examples=80, deadline=None)
@given(STAMPS, STAMPS, st.integers(0, 30))
def test_matching_is_that_of_the_literal_loop(first, second, slop):
    """Of all pairs within the slop, the nearest is taken, then the nearest of what is left, and so on."""
    near = sorted((abs(a - b), a, b) for a in first for b in second if abs(a - b) <= slop)
    expected = []
    while near:
        _, a, b = near[0]
        expected.append((a, b))
        near = [pair for pair in near if pair[1] != a and pair[2] != b]
    one, two = match_stamps(np.array(first, np.int64), np.array(second, np.int64), slop)
    assert [(first[i], second[j]) for i, j in zip(one, two)] == sorted(expected)


def test_stamps_are_compared_to_the_nanosecond():
    first, second = np.array([1_700_000_000_000_000_001]), np.array([1_700_000_000_000_000_004])
    assert len(match_stamps(first, second, 3)[0]) == 1
    assert len(match_stamps(first, second, 2)[0]) == 0
    with pytest.raises(InvalidInputError):
        match_stamps(first, second, -1)


def test_recordings_that_overlap_or_follow_closely_are_one_session():
    second = 10**9
    ranges = [
        (100 * second, 200 * second),
        (0, 50 * second),
        (250 * second, 300 * second),
        (10 * second, 20 * second),
    ]
    assert sessions_by_time(ranges, 0.0) == [1, 0, 2, 0]
    assert sessions_by_time(ranges, 49.9) == [1, 0, 2, 0]
    assert sessions_by_time(ranges, 50.0) == [0, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=3, max_size=40), st.integers(0, 5))
def test_every_session_is_in_one_split_and_no_split_is_empty(counts, seed):
    pairs = {f"s{i}": count for i, count in enumerate(counts)}
    dealt = deal(pairs, {"train": 0.8, "val": 0.1, "test": 0.1}, seed=seed)
    assert set(dealt) == set(pairs) and set(dealt.values()) == set(SPLITS)
    assert dealt == deal(dict(reversed(pairs.items())), {"train": 0.8, "val": 0.1, "test": 0.1}, seed=seed)


def test_shares_are_kept_where_sessions_allow_it():
    dealt = deal({f"s{i}": 10 for i in range(100)}, {"train": 0.7, "val": 0.1, "test": 0.2})
    assert {split: list(dealt.values()).count(split) for split in SPLITS} == {
        "train": 70,
        "val": 10,
        "test": 20,
    }


def test_sessions_named_by_hand_stay_where_they_are():
    dealt = deal({"a": 5, "b": 5, "c": 90}, {"train": 1, "val": 0, "test": 0}, {"c": "test"})
    assert dealt == {"a": "train", "b": "train", "c": "test"}
    with pytest.raises(InvalidInputError, match="record more drives"):
        deal({"a": 5}, {"train": 0.5, "val": 0.0, "test": 0.5})
    with pytest.raises(InvalidInputError, match="shares"):
        deal({"a": 5}, {"train": 1, "val": -1, "test": 0})
