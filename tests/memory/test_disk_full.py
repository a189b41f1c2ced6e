"""A full disk: refused in one line before anything breaks, and taken up again when there is room."""

import os
import time

import pytest

pytest.importorskip("qdrant_edge")

from made_moments import SPACE, make_moments, make_vectors

from imagebind_node.errors import DiskFullError
from imagebind_node.memory import disk_space
from imagebind_node.memory.edge.store import EdgeStore


class Disk:
    """The real disk, of which all but `free` bytes are taken."""

    def __init__(self, monkeypatch):
        self.free = 1 << 40
        real = os.statvfs
        monkeypatch.setattr(disk_space.os, "statvfs", lambda path: self._limited(real(path)))

    def _limited(self, state):
        fields = list(state[:10])
        fields[4] = min(state.f_bavail, self.free // state.f_frsize)
        return os.statvfs_result(fields)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_refused_whole_while_full_and_taken_afterwards(tmp_path, disk):
    with EdgeStore(tmp_path, SPACE, index=False) as store:
        store.add(make_moments(50), make_vectors(50))
        disk.free = 10 << 20
        with pytest.raises(DiskFullError, match=r"is full: (9|10) MiB free, 64 are needed; make room"):
            store.add(make_moments(50, 50), make_vectors(50, seed=1))
        assert store.count() == 50
        assert len(store.search(make_vectors(1)[0], 5)) == 5, "reading needs no room"
        disk.free = 1 << 40
        store.add(make_moments(50, 50), make_vectors(50, seed=1))
        assert store.count() == 100


def test_a_memory_is_not_opened_on_a_full_disk(tmp_path, disk):
    disk.free = 1 << 20
    with pytest.raises(DiskFullError):
        EdgeStore(tmp_path, SPACE)
    disk.free = 1 << 40
    EdgeStore(tmp_path, SPACE).close()


def test_the_writer_keeps_what_waits(tmp_path, disk):
    import numpy as np

    from imagebind_node.embedding import Embedding
    from imagebind_node.memory.memory import Impression, Memory
    from imagebind_node.memory.novelty import NoveltyGate
    from imagebind_node.nodes.memory_writer import MemoryWriter
    from imagebind_node.samples import Modality

    vectors = make_vectors(20).astype(np.float32)
    errors = []
    memory = Memory(EdgeStore(tmp_path, SPACE, index=False), novelty=NoveltyGate())
    writer = MemoryWriter(memory, lambda what, error: errors.append(error), time.time_ns)
    disk.free = 1 << 20
    writer.start()
    for number, vector in enumerate(vectors):
        writer.put(Impression(Embedding(vector, Modality.VISION, SPACE, stamp=(number + 1) * 10**9)))
    deadline = time.monotonic() + 30
    while not writer.full and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "is full" in writer.full and isinstance(errors[0], DiskFullError)
    assert (writer.stored, writer.dropped) == (0, 0)
    disk.free = 1 << 40
    while writer.stored < len(vectors) and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.close()
    assert (writer.stored, writer.dropped, writer.full) == (len(vectors), 0, "")
    memory.close()
