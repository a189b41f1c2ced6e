"""The contract of MemoryStore, on every backend."""

from __future__ import annotations

import numpy as np
import pytest
from made_moments import SECOND, SPACE, START, make_moments, make_vectors

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.memory import MemoryFilter, MemoryStore, Moment, Place, Pose
from imagebind_node.samples import Modality


def test_search_finds_what_was_added_with_all_its_details(store: MemoryStore) -> None:
    vectors = make_vectors(50)
    details = Moment(
        Modality.AUDIO,
        START + 7,
        frame_id="microphone",
        robot="rover",
        window=0.975,
        confidence=0.5,
        labels=(("glass", 0.75), ("bell", 0.25)),
        source="embedding/audio",
        media="media/ab/abc.jpg",
        pose=Pose("map", (1.0, -2.0, 0.5), (0.0, 0.0, 1.0, 0.0)),
    )
    store.add([*make_moments(49), details], vectors)
    best = store.search(vectors[49], 1, with_vectors=True)[0]
    assert best.id == details.id(SPACE)
    assert best.moment == details
    assert best.score == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(best.vector, vectors[49], atol=1e-6)


def test_scores_are_cosines_in_falling_order(store: MemoryStore) -> None:
    vectors = make_vectors(40)
    store.add(make_moments(40), vectors)
    hits = store.search(vectors[3] * 5.0, 40, exact=True)
    assert len(hits) == 40
    expected = np.sort(vectors @ vectors[3])[::-1]
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-5)


def test_the_same_moment_twice_is_one_memory_and_the_newer_vector_wins(store: MemoryStore) -> None:
    moments = make_moments(10)
    first = store.add(moments, make_vectors(10, seed=0))
    again = make_vectors(10, seed=1)
    assert store.add(moments, again) == first
    assert store.count() == 10
    np.testing.assert_allclose(store.get(first[:1], with_vectors=True)[0].vector, again[0], atol=1e-6)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (MemoryFilter(), range(30)),
        (MemoryFilter(since=START + 5 * SECOND, until=START + 8 * SECOND), range(5, 9)),
        (MemoryFilter(modalities=("audio",)), range(1, 30, 3)),
        (MemoryFilter(modalities=("audio", Modality.IMU), until=START + 4 * SECOND), (1, 2, 4)),
        (MemoryFilter(robots=("a",)), range(30)),
        (MemoryFilter(robots=("b",)), ()),
        (MemoryFilter(labels=("even",)), range(0, 30, 2)),
        (MemoryFilter(sources=("topic",), frame_ids=("base_link",)), range(30)),
        (MemoryFilter(place=Place((3.0, 0.0, 0.0), 1.5)), (2, 3, 4)),
        (MemoryFilter(place=Place((3.0, 1.0, 1.0), 1.5)), (3,)),  # inside the box 2..4, but not the sphere
        (MemoryFilter(place=Place((3.0, 0.0, 0.0), 1.5, frame_id="odom")), ()),
    ],
)
def test_filters_choose_the_same_for_search_count_scan(
    store: MemoryStore, where: MemoryFilter, expected: range
) -> None:
    moments = [
        Moment(
            moment.modality,
            moment.stamp,
            frame_id=moment.frame_id,
            robot="a",
            source="topic",
            labels=(("even", 1.0),) if i % 2 == 0 else (),
            pose=Pose("map", (float(i), 0.0, 0.0)),
        )
        for i, moment in enumerate(make_moments(30))
    ]
    vectors = make_vectors(30)
    ids = store.add(moments, vectors)
    wanted = {ids[i] for i in expected}
    assert store.count(where) == len(wanted)
    assert {hit.id for hits in store.scan(where, batch=4) for hit in hits} == wanted
    assert {hit.id for hit in store.search(vectors[0], 30, where)} == wanted


def test_forget_deletes_only_what_matches_and_tells(store: MemoryStore) -> None:
    told: list[str] = []
    store.forgotten = lambda hits: told.extend(hit.id for hit in hits)
    ids = store.add(make_moments(30), make_vectors(30))
    assert store.forget(MemoryFilter(modalities=("vision",))) == 10
    assert sorted(told) == sorted(ids[::3])
    assert store.count() == 20
    assert store.get(ids[:3])[0].id == ids[1]
    assert store.forget_ids([ids[1], ids[0]]) == 1
    assert store.forget(MemoryFilter(modalities=("vision",))) == 0


def test_trim_drops_the_oldest(store: MemoryStore) -> None:
    store.add(make_moments(30), make_vectors(30))
    assert store.trim(12) == 18
    assert store.count() == 12 == store.count(MemoryFilter(since=START + 18 * SECOND))
    assert store.trim(12) == 0


def test_empty_memory_answers_with_nothing(store: MemoryStore) -> None:
    assert store.search(make_vectors(1)[0]) == []
    assert store.count() == 0
    assert list(store.scan()) == []
    assert store.add([], np.zeros((0, SPACE.dim))) == []
    assert store.forget(MemoryFilter()) == 0
    assert store.trim(1) == 0


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((1, SPACE.dim)), "norm 1"),
        (np.full((1, SPACE.dim), np.nan), "norm 1"),
        (np.ones((1, SPACE.dim)), "norm 1"),
        (make_vectors(2), "vectors \\(1, 32\\)"),
        (make_vectors(1, dim=16), "got \\(1, 16\\)"),
    ],
)
def test_bad_vectors_are_refused_and_the_store_lives_on(
    store: MemoryStore, vectors: np.ndarray, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        store.add(make_moments(1), vectors)
    store.add(make_moments(1), make_vectors(1))
    assert store.count() == 1


def test_queries_of_another_space_or_without_content_are_refused(store: MemoryStore) -> None:
    store.add(make_moments(3), make_vectors(3))
    stranger = Embedding(make_vectors(1)[0], Modality.TEXT, Space("other", SPACE.dim))
    with pytest.raises(SpaceMismatchError, match="other"):
        store.search(stranger)
    silent = Embedding(np.zeros(0, np.float32), Modality.AUDIO, SPACE, abstained=True)
    with pytest.raises(InvalidInputError, match="abstained"):
        store.search(silent)
    for query in (np.zeros(SPACE.dim), np.full(SPACE.dim, np.inf), np.ones(3)):
        with pytest.raises(InvalidInputError, match="query must be one finite vector"):
            store.search(query)
    with pytest.raises(InvalidInputError, match="number of results"):
        store.search(make_vectors(1)[0], 0)
    with pytest.raises(InvalidInputError, match="ends before it begins"):
        MemoryFilter(since=2, until=1)
