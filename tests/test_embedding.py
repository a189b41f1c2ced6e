"""Embeddings carry their space; arithmetic obeys it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebind_node import Embedding, Modality, Space, combine, cosine
from imagebind_node.embedding import stack
from imagebind_node.errors import InvalidInputError, SpaceMismatchError

SPACE = Space("test", 3)


def embed(*vector, space=SPACE, **more):
    return Embedding(np.array(vector, np.float32), Modality.AUDIO, space, **more)


def test_vector_is_normalised_and_read_only():
    source = np.array([3.0, 0.0, 4.0], np.float32)
    embedding = Embedding(source, Modality.VISION, SPACE)
    assert embedding.vector == pytest.approx([0.6, 0.0, 0.8])
    with pytest.raises(ValueError, match="read-only"):
        embedding.vector[0] = 1.0


def test_embedding_does_not_freeze_or_follow_the_callers_array():
    source = np.array([1.0, 0.0, 0.0], np.float32)
    embedding = Embedding(source, Modality.VISION, SPACE)
    source[:] = 0.0
    assert embedding.vector[0] == 1.0


@pytest.mark.parametrize("vector", [(0, 0, 0), (np.nan, 0, 1), (1, 2), ()])
def test_bad_vectors_are_refused(vector):
    with pytest.raises(InvalidInputError):
        embed(*vector)


def test_nothing_to_embed_is_a_field_not_a_vector():
    silent = embed(abstained=True, confidence=0.0)
    assert silent.vector.shape == (0,)
    with pytest.raises(InvalidInputError, match="abstained"):
        cosine(silent, embed(1, 0, 0))


def test_other_spaces_are_refused_by_name_even_at_equal_width():
    other = embed(1, 0, 0, space=Space("other", 3))
    for operation in (lambda: embed(1, 0, 0) @ other, lambda: combine([embed(1, 0, 0), other])):
        with pytest.raises(SpaceMismatchError, match="'test'.*'other'"):
            operation()


def test_combine_weights_and_subtracts():
    x, y = embed(1, 0, 0, stamp=5, window=1.0), embed(0, 2, 0, stamp=7)
    assert combine([x, y]).vector == pytest.approx([2**-0.5, 2**-0.5, 0])
    assert combine([x, y], [3, -4]).vector == pytest.approx([0.6, -0.8, 0])
    assert (combine([x, y]).stamp, combine([x, y]).window) == (7, 1.0)


def test_combine_refuses_what_cancels_and_keeps_abstention():
    x = embed(1, 0, 0)
    with pytest.raises(InvalidInputError, match="cancel"):
        combine([x, x], [1, -1])
    with pytest.raises(InvalidInputError, match="one finite weight"):
        combine([x, x], [1])
    assert combine([x, embed(0, 1, 0, abstained=True)]).abstained
    assert not combine([x, embed(0, 1, 0, abstained=True)], [1, 0]).abstained


def test_stack_refuses_an_empty_list():
    with pytest.raises(InvalidInputError):
        stack([])


components = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3).filter(
    lambda v: np.linalg.norm(v) > 1e-3
)


@given(components, components)
def test_cosine_is_symmetric_bounded_and_one_with_itself(a, b):
    x, y = embed(*a), embed(*b)
    assert -1 <= x @ y <= 1
    assert x @ y == pytest.approx(y @ x, abs=1e-6)
    assert x @ x == pytest.approx(1, abs=1e-5)
