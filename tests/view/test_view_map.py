"""The map of the embedding space: principal components that do not flip, one space only."""

import numpy as np
import pytest

from imagebind_node.embedding import Embedding, Space
from imagebind_node.samples import Modality
from imagebind_node.view.embedding_map import EmbeddingMap

SPACE = Space("test", 64)
SECOND = 1_000_000_000


def made(vector, stamp=0, space=SPACE, **fields):
    return Embedding(np.asarray(vector, np.float32), Modality.VISION, space, stamp, **fields)


def cloud(count, seed=0):
    """Unit vectors that differ most along two known directions."""
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 0.02, (count, 64))
    vectors[:, 0] += 1.0
    vectors[:, 1] += random.normal(0, 0.5, count)
    vectors[:, 2] += random.normal(0, 0.3, count)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def places(points):
    return np.array([(point.x, point.y) for point in points])


def test_is_the_plane_of_most_variance():
    vectors = cloud(100)
    drawn = EmbeddingMap(200)
    for i, vector in enumerate(vectors):
        drawn.add("vision", made(vector, i))
    centred = vectors - vectors.mean(0)
    values = np.linalg.svd(centred, compute_uv=False)
    spread = np.linalg.svd(places(drawn.points({})), compute_uv=False)
    assert spread == pytest.approx(values[:2], rel=1e-4)


def test_does_not_flip_or_jump_as_embeddings_come():
    vectors = cloud(150)
    drawn = EmbeddingMap(100)
    for vector in vectors[:100]:
        drawn.add("vision", made(vector))
    before = places(drawn.points({}))
    for vector in vectors[100:]:
        drawn.add("vision", made(vector))
        after = places(drawn.points({}))
        # The same embeddings, one place further to the front since the oldest made room.
        assert np.abs(after[:-1] - before[1:]).max() < 0.1
        before = after


def test_queries_come_last_and_only_those_of_its_space():
    drawn = EmbeddingMap(10)
    for vector in cloud(5):
        drawn.add("audio", made(vector))
    queries = {"dog": made(cloud(1, seed=1)[0]), "alien": made(np.eye(8)[0], space=Space("other", 8))}
    points = drawn.points(queries)
    assert [(point.kind, point.label) for point in points] == [("audio", "")] * 5 + [("query", "dog")]


def test_ages_and_labels():
    drawn = EmbeddingMap(10)
    for i, vector in enumerate(cloud(3)):
        drawn.add("audio", made(vector, 10 * SECOND + i * SECOND, labels=((f"label {i}", 1.0),)))
    points = drawn.points({})
    assert [point.age for point in points] == pytest.approx([2.0, 1.0, 0.0])
    assert points[-1].label == "label 2"


def test_another_space_starts_it_afresh_and_what_abstained_has_no_place():
    drawn = EmbeddingMap(10)
    for vector in cloud(4):
        drawn.add("vision", made(vector))
    drawn.add("vision", made([], abstained=True))
    assert len(drawn.points({})) == 4
    for axis in range(3):
        drawn.add("vision", made(np.eye(8)[axis], space=Space("other", 8)))
    assert len(drawn.points({})) == 3


def test_a_few_and_equal_ones_do_no_harm():
    drawn = EmbeddingMap(10)
    assert drawn.points({}) == []
    for _ in range(4):
        drawn.add("vision", made(np.eye(64)[0]))
    assert np.abs(places(drawn.points({}))).max() < 1e-3
