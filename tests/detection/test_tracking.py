"""Tracks on the real ByteTrack: ids through misses, crossings, classes, clock jumps."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.detection.detections import Detections
from imagebind_node.detection.tracking import Tracker
from imagebind_node.errors import InvalidInputError

PERIOD = 200_000_000  # 5 Hz, in nanoseconds


def found(*things: tuple[str, float, float], score: float = 0.9, side: float = 60.0) -> Detections:
    """Detections of (label, centre x, centre y)."""
    half = side / 2
    boxes = np.array([[x - half, y - half, x + half, y + half] for _, x, y in things], np.float32)
    return Detections(
        boxes.reshape(-1, 4),
        np.full(len(things), score, np.float32),
        tuple(label for label, _, _ in things),
        np.zeros(len(things), np.float32),
    )


def test_a_moving_thing_keeps_its_id():
    tracker = Tracker()
    ids = []
    for i in range(30):
        ids.append(tracker.update(found(("dog", 100 + 8 * i, 100 + 3 * i)), i * PERIOD).tolist())
    assert ids[0] == [0]  # min_hits
    assert ids[1:] == [[1]] * 29


@pytest.mark.parametrize(("missed", "survives"), [(1, True), (4, True), (8, False)])
def test_ids_survive_misses_up_to_max_miss(missed, survives):
    """At 5 Hz and max_miss 1 s, 4 missed frames are short and 8 are not; the thing moves on meanwhile."""
    tracker = Tracker(rate=5.0, max_miss=1.0)
    stamps = iter(range(0, 100 * PERIOD, PERIOD))
    x = 100.0
    for _ in range(10):
        x += 4
        before = tracker.update(found(("dog", x, 100)), next(stamps)).tolist()
    for _ in range(missed):
        x += 4
        assert len(tracker.update(Detections.empty(), next(stamps))) == 0
    for _ in range(2):
        x += 4
        after = tracker.update(found(("dog", x, 100)), next(stamps)).tolist()
    assert before == [1]
    assert after == ([1] if survives else [2])


def test_two_things_of_one_class_do_not_swap_ids():
    tracker = Tracker()
    for i in range(20):
        ids = tracker.update(found(("dog", 100 + 5 * i, 100), ("dog", 500 - 5 * i, 220)), i * PERIOD)
    assert ids.tolist() == [1, 2]


def test_classes_are_tracked_apart_even_in_one_place():
    tracker = Tracker()
    for i in range(3):
        ids = tracker.update(found(("dog", 100, 100), ("bark", 102, 100)), i * PERIOD)
    assert sorted(ids.tolist()) == [1, 2]


def test_weak_detections_continue_tracks_but_start_none():
    tracker = Tracker(min_score=0.8)
    for i in range(4):
        assert tracker.update(found(("dog", 100, 100), score=0.5), i * PERIOD).tolist() == [0]
    for i in range(4, 7):
        ids = tracker.update(found(("dog", 100, 100), score=0.9), i * PERIOD)
    assert ids.tolist() == [1]
    assert tracker.update(found(("dog", 100, 100), score=0.5), 7 * PERIOD).tolist() == [1]


def test_irregular_frames_keep_the_id():
    tracker = Tracker()
    now, ids = 0, []
    for step in np.random.default_rng(0).uniform(0.05, 0.6, 30):
        now += int(step * 1e9)
        ids.append(tracker.update(found(("dog", 100 + now / 5e7, 100)), now).tolist())
    assert ids[1:] == [[1]] * 29


def test_jitter_of_the_boxes_keeps_the_id():
    rng = np.random.default_rng(1)
    tracker = Tracker()
    ids = {
        i
        for k in range(50)
        for i in tracker.update(found(("dog", *(200 + 6 * rng.standard_normal(2)))), k * PERIOD).tolist()
    }
    assert ids == {0, 1}


def test_a_clock_set_back_starts_afresh_with_new_ids():
    tracker = Tracker()
    for i in range(3):
        tracker.update(found(("dog", 100, 100)), 10**12 + i * PERIOD)
    for i in range(3):
        ids = tracker.update(found(("dog", 100, 100)), i * PERIOD)
    assert ids.tolist() == [2]


def test_long_runs_do_not_collect_classes():
    """A robot hears many labels in a day: a label whose tracks have ended leaves nothing behind."""
    tracker = Tracker(max_miss=0.5)
    for i in range(200):
        tracker.update(found((f"sound {i}", 100, 100)), i * PERIOD)
    assert len(tracker._by_label) < 10
    assert len(tracker._ids) < 10


def test_the_last_frame_searched_again_keeps_its_ids_and_gains_none():
    tracker = Tracker(min_hits=1)
    tracker.update(found(("a", 100, 100), ("b", 300, 100)), 0)
    before = tracker.update(found(("a", 100, 100), ("b", 300, 100)), PERIOD)
    again = tracker.update(found(("new", 500, 100), ("b", 300, 100)), PERIOD)
    assert again.tolist() == [0, before[1]]
    after = tracker.update(found(("a", 100, 100), ("b", 300, 100)), 2 * PERIOD)
    assert after.tolist() == before.tolist()


def test_bad_settings_are_refused():
    with pytest.raises(InvalidInputError, match="tracking needs"):
        Tracker(rate=0.0)
