"""When last?"""

from __future__ import annotations

import numpy as np
import pytest
from made_moments import SECOND, START, make_moments, make_vectors

from imagebind_node.errors import InvalidInputError
from imagebind_node.memory import MemoryFilter, MemoryStore
from imagebind_node.memory.recency import search_newest


@pytest.fixture
def glass(store: MemoryStore) -> np.ndarray:
    """600 moments; something like glass at 10 s, 300 s and, less clearly, at 500 s."""
    vectors = make_vectors(600)
    sound = make_vectors(1, seed=77)[0]
    for second, share in ((10, 0.99), (300, 0.9), (500, 0.6)):
        side = vectors[second] - (vectors[second] @ sound) * sound
        vectors[second] = share * sound + (1 - share**2) ** 0.5 * side / np.linalg.norm(side)
    store.add(make_moments(600), vectors)
    return sound


def seconds(hits: list) -> list[int]:
    return [(hit.moment.stamp - START) // SECOND for hit in hits]


def test_the_newest_of_what_fits_comes_first(store: MemoryStore, glass: np.ndarray) -> None:
    assert seconds(store.search(glass, 1)) == [10]
    assert seconds(search_newest(store, glass)) == [300, 10]
    assert seconds(search_newest(store, glass, 1)) == [300]
    assert seconds(search_newest(store, glass, floor=0.59)) == [500, 300, 10]
    assert seconds(search_newest(store, glass, floor=0.95)) == [10]
    assert seconds(search_newest(store, glass, where=MemoryFilter(until=START + 299 * SECOND))) == [10]
    assert search_newest(store, glass, floor=0.999) == []


def test_many_moments_that_fit_are_all_considered(store: MemoryStore, glass: np.ndarray) -> None:
    everything = search_newest(store, glass, 600, floor=-1.0)
    assert seconds(everything) == list(range(599, -1, -1))
    assert seconds(search_newest(store, glass, 3, floor=-1.0)) == [599, 598, 597]


def test_nothing_fits_what_is_the_opposite_of_everything(store: MemoryStore) -> None:
    assert search_newest(store, make_vectors(1)[0]) == []
    store.add(make_moments(1), make_vectors(1))
    assert search_newest(store, -make_vectors(1)[0]) == []
    for limit, floor in ((0, None), (1, 1.5)):
        with pytest.raises(InvalidInputError):
            search_newest(store, make_vectors(1)[0], limit, floor=floor)
