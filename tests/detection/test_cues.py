"""Cues: decay, expiry, several at once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.cues import CueBoard
from imagebind_node.detection.detections import Detections
from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

SPACE = Space("test", 4)
SECOND = 1_000_000_000


def cue(axis: int, stamp: float = 0.0, **more) -> Embedding:
    return Embedding(np.eye(4)[axis], Modality.AUDIO, SPACE, stamp=int(stamp * SECOND), **more)


def strengths(board: CueBoard, now: float) -> dict[str, float]:
    return {c.label: round(c.strength, 3) for c in board.cues(int(now * SECOND))}


def test_strength_halves_every_half_life_until_the_timeout():
    board = CueBoard(half_life=2.0, timeout=4.0)
    board.hear("dog", cue(0, 10.0))
    assert strengths(board, 10.0) == {"dog": 1.0}
    assert strengths(board, 12.0) == {"dog": 0.5}
    assert strengths(board, 14.0) == {"dog": 0.25}
    assert strengths(board, 14.1) == {}
    assert strengths(board, 10.0) == {}  # forgotten, not hidden


def test_hearing_again_renews_the_cue_with_the_new_embedding():
    board = CueBoard(half_life=1.0)
    board.hear("dog", cue(0, 1.0))
    board.hear("dog", cue(1, 2.0))
    (alive,) = board.cues(2 * SECOND)
    assert alive.strength == 1.0
    assert alive.embedding.vector.tolist() == [0, 1, 0, 0]


def test_the_same_sound_under_another_name_stays_one_cue_of_the_first_name():
    board = CueBoard(same=0.9)
    board.hear("dog", cue(0, 1.0))
    nearly = Embedding(np.array([1.0, 0.3, 0, 0]), Modality.AUDIO, SPACE, stamp=2 * SECOND)
    board.hear("bark", nearly)
    assert [(c.label, c.heard) for c in board.cues(2 * SECOND)] == [("dog", 2 * SECOND)]
    assert not board.hear("howl", cue(0, 1.5))  # older than what it would replace
    board.hear("bell", cue(2, 2.0))
    assert set(strengths(board, 2.0)) == {"dog", "bell"}


def test_the_same_sound_takes_the_name_that_it_is_heard_under_most_surely():
    board = CueBoard()
    board.hear("animal", cue(0, 1.0, confidence=0.3))
    board.hear("dog", cue(0, 1.1, confidence=0.8))
    board.hear("animal", cue(0, 1.2, confidence=0.5))
    assert strengths(board, 1.2) == {"dog": 1.0}


def test_late_and_abstaining_cues_change_nothing():
    board = CueBoard()
    board.hear("dog", cue(0, 5.0))
    assert not board.hear("dog", cue(1, 4.0))
    assert not board.hear("cat", Embedding(np.zeros(0), Modality.AUDIO, SPACE, abstained=True))
    (alive,) = board.cues(5 * SECOND)
    assert alive.embedding.vector[0] == 1


def test_a_clock_that_is_set_back_forgets_what_was_heard():
    board = CueBoard(timeout=2.0)
    board.hear("dog", cue(0, 3600.0))
    assert strengths(board, 5.0) == {}
    board.hear("dog", cue(0, 3600.0))
    assert board.hear("dog", cue(0, 6.0))
    assert strengths(board, 6.0) == {"dog": 1.0}


def test_a_frame_older_than_the_cue_sees_full_strength():
    board = CueBoard()
    board.hear("dog", cue(0, 5.0))
    assert strengths(board, 4.0) == {"dog": 1.0}


def test_several_cues_are_several_classes():
    board = CueBoard(half_life=2.0)
    board.hear("dog", cue(0, 1.0))
    board.hear("bell", cue(1, 3.0))
    alive = board.cues(3 * SECOND)
    assert [c.label for c in alive] == ["bell", "dog"]
    classes = ClassEmbeddings(SPACE)
    classes.replace([c.label for c in alive], [c.embedding for c in alive])
    assert classes.matrix.labels == ("bell", "dog")


def test_the_longest_unheard_cue_makes_room():
    board = CueBoard(capacity=2)
    for second, label in enumerate(("a", "b", "c"), start=1):
        board.hear(label, cue(second, second))
    assert set(strengths(board, 3.0)) == {"b", "c"}


def test_forget_one_and_all():
    board = CueBoard()
    for axis, label in enumerate(("a", "b", "c")):
        board.hear(label, cue(axis, 1.0))
    board.forget("a")
    board.forget("unknown")
    assert set(strengths(board, 1.0)) == {"b", "c"}
    board.forget()
    assert strengths(board, 1.0) == {}


def test_fading_reorders_detections_and_drops_dead_cues():
    board = CueBoard(half_life=1.0, timeout=2.5)
    board.hear("old", cue(0, 0.0))
    board.hear("new", cue(1, 2.0))
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]], np.float32)
    found = Detections(
        boxes, np.array([0.9, 0.8, 0.7], np.float32), ("old", "new", "gone"), np.zeros(3, np.float32)
    )
    faded = board.fade(found, 2 * SECOND)
    assert faded.labels == ("new", "old")
    assert faded.scores == pytest.approx([0.8, 0.225])
    assert faded.boxes[:, 0].tolist() == [2, 0]


@pytest.mark.parametrize(
    "settings",
    [{"half_life": 0.0}, {"half_life": float("nan")}, {"timeout": 0.0}, {"same": 1.5}, {"capacity": 0}],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InvalidInputError, match="cues need"):
        CueBoard(**settings)


def test_many_threads_may_hear_at_once():
    board = CueBoard(half_life=100.0, timeout=600.0, capacity=4)

    def hear(axis: int) -> None:
        for i in range(500):
            board.hear(f"cue {axis}", cue(axis, float(i)))
            board.cues(i * SECOND)

    threads = [threading.Thread(target=hear, args=(axis,)) for axis in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alive = board.cues(499 * SECOND)
    assert sorted(c.label for c in alive) == [f"cue {axis}" for axis in range(4)]
    assert all(c.heard == 499 * SECOND for c in alive)
