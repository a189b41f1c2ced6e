import logging

import numpy as np
import pytest

from imagebind_node.embedding import Space
from imagebind_node.encoders.text_cache import TextCache

SPACE = Space("somewhere-1", 4)
VECTOR = np.array([0.6, 0.0, 0.8, 0.0], np.float32)


@pytest.fixture
def cache(tmp_path):
    return TextCache(SPACE, tmp_path)


def test_what_was_put_is_found_again(cache, tmp_path):
    assert cache.get("snow") is None
    cache.put("snow", VECTOR)
    assert np.array_equal(TextCache(SPACE, tmp_path).get("snow"), VECTOR)
    assert cache.get("Snow") is None
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".npy"]


def test_spaces_do_not_mix(cache, tmp_path):
    cache.put("snow", VECTOR)
    assert TextCache(Space("somewhere-2", 4), tmp_path).get("snow") is None
    assert TextCache(Space("somewhere-1", 5), tmp_path).get("snow") is None
    # Names that look the same as file names are still different spaces.
    TextCache(Space("a/b", 4), tmp_path).put("snow", VECTOR)
    assert TextCache(Space("a_b", 4), tmp_path).get("snow") is None


def test_space_name_cannot_leave_the_folder(tmp_path):
    cache = TextCache(Space("../../outside", 4), tmp_path / "inside")
    cache.put("snow", VECTOR)
    assert not [p for p in tmp_path.rglob("*.npy") if tmp_path / "inside" not in p.parents]
    assert cache.get("snow") is not None


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"\x93NUMPY\x01\x00", np.zeros(3).tobytes()],
    ids=["empty", "nonsense", "cut", "raw"],
)
def test_damaged_file_counts_as_absent_and_is_replaced(cache, content, caplog):
    cache.put("snow", VECTOR)
    cache.path("snow").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert cache.get("snow") is None
    assert "damaged" in caplog.text
    cache.put("snow", VECTOR)
    assert np.array_equal(cache.get("snow"), VECTOR)


def test_wrong_vectors_and_pickles_are_not_believed(cache):
    path = cache.path("snow")
    path.parent.mkdir(parents=True)
    for array in (VECTOR * 2, VECTOR.astype(np.float64), VECTOR[:3], np.full(4, np.nan, np.float32)):
        np.save(path, array)
        assert cache.get("snow") is None
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert cache.get("snow") is None


def test_folder_that_cannot_be_written_is_reported_once(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    cache = TextCache(SPACE, blocked)
    with caplog.at_level(logging.WARNING):
        cache.put("snow", VECTOR)
        cache.put("rain", VECTOR)
    assert caplog.text.count("not kept") == 1
