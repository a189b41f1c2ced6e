"""Pages of mapped files are handed back, and nothing but pages."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
from made_moments import SECOND, SPACE, START, make_moments, make_vectors

from imagebind_node.memory.edge.resident_memory import MappedPages
from imagebind_node.memory.edge.store import EdgeStore

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mapped pages are seen in /proc")
SIZE = 32 * 1024**2


def resident(path: Path) -> int:
    """Bytes of `path` that are resident in this process."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line[0] in "0123456789abcdef" and "-" in line.split()[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def touch(mapped: mmap.mmap) -> int:
    return sum(mapped[at] for at in range(0, SIZE, mmap.PAGESIZE))


def test_pages_go_and_come_back_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(SIZE))
    pages = MappedPages(tmp_path, limit=SIZE // 2)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), SIZE) as mapped:
        assert not pages.trim(), "nothing was touched"
        mapped[5 * mmap.PAGESIZE] = 7  # written, and on no disk yet
        assert touch(mapped) == 7
        assert resident(path) == SIZE
        assert pages.trim()
        assert resident(path) == 0
        assert touch(mapped) == 7
        mapped.flush()
    assert path.read_bytes()[5 * mmap.PAGESIZE] == 7


def test_other_files_and_private_mappings_are_left_alone(tmp_path: Path) -> None:
    inside, outside = tmp_path / "memory" / "private", tmp_path / "memory2"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_bytes(bytes(SIZE))
    pages = MappedPages(inside.parent, limit=SIZE // 2)
    with (
        open(inside, "r+b") as first,
        open(outside, "r+b") as second,
        mmap.mmap(first.fileno(), SIZE, flags=mmap.MAP_PRIVATE) as private,
        mmap.mmap(second.fileno(), SIZE) as other,
    ):
        private[0] = 9  # exists in this process only
        assert touch(private) + touch(other) == 9
        pages.trim()
        assert resident(outside) == SIZE
        assert private[0] == 9


def test_a_memory_without_a_single_resident_page_answers_the_same(tmp_path: Path) -> None:
    vectors = make_vectors(1200)
    with EdgeStore(tmp_path, SPACE, shard_points=500) as store:
        store._shards._pages = MappedPages(tmp_path, limit=-(2**62))  # hands back after every call
        for start in range(0, 1200, 100):
            store.add(make_moments(100, start), vectors[start : start + 100])
        assert store.wait_indexed(120)
        for i in (0, 499, 700, 1199):
            best = store.search(vectors[i], 1)[0]
            assert best.moment.stamp == START + i * SECOND
        assert sum(len(hits) for hits in store.scan()) == 1200
        assert store.forget_ids([store.search(vectors[3], 1)[0].id]) == 1
    with EdgeStore(tmp_path, SPACE) as store:
        assert store.count() == 1199
