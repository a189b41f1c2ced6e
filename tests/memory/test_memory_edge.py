"""What only the embedded memory does: sealing, indexing in a child process, locks, crashes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from made_moments import SECOND, SPACE, START, make_moments, make_vectors

from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.memory import MemoryFilter
from imagebind_node.memory.edge.manifest import read_manifest
from imagebind_node.memory.edge.store import EdgeStore

WRITER = Path(__file__).with_name("crash_writer.py")


def test_memory_survives_closing_and_opening(tmp_path: Path) -> None:
    vectors = make_vectors(250)
    with EdgeStore(tmp_path, SPACE, shard_points=100, index=False) as store:
        for start in range(0, 250, 50):
            store.add(make_moments(50, start), vectors[start : start + 50])
        assert [entry.sealed for entry in read_manifest(tmp_path).shards] == [True, True, False]
    with EdgeStore(tmp_path, SPACE, index=False) as store:
        assert store.count() == 250
        assert store.search(vectors[17], 1)[0].moment.stamp == START + 17 * SECOND


def test_indexing_changes_nothing_but_speed(tmp_path: Path) -> None:
    vectors = make_vectors(3000)
    moments = make_moments(3000)
    with EdgeStore(tmp_path, SPACE, shard_points=1500) as store:
        for start in range(0, 3000, 500):
            store.add(moments[start : start + 500], vectors[start : start + 500])
        assert store.wait_indexed(120)
        assert [entry.indexed for entry in read_manifest(tmp_path).shards] == [True, True, False]
        assert store.count() == 3000
        for query in make_vectors(5, seed=9):
            expected = np.argsort(-(vectors @ query))[:10]
            found = [(hit.moment.stamp - START) // SECOND for hit in store.search(query, 10)]
            assert len(set(found) & set(expected.tolist())) >= 9
        # A moment that an old shard holds is overwritten there, not stored a second time.
        store.add(moments[:10], make_vectors(10, seed=4))
        assert store.count() == 3000


def test_writes_during_indexing_reach_the_indexed_copy(tmp_path: Path) -> None:
    vectors = make_vectors(1000)
    moments = make_moments(1000)
    with EdgeStore(tmp_path, SPACE, shard_points=1000) as store:
        copied = threading.Event()
        make_copy = store._shards._indexer._copy

        def copy_and_tell(name: str, source: Path, target: Path) -> None:
            make_copy(name, source, target)
            copied.set()

        store._shards._indexer._copy = copy_and_tell
        ids = store.add(moments, vectors)
        assert copied.wait(30)
        changed = make_vectors(1, seed=5)
        store.add(moments[:1], changed)
        assert store.forget(MemoryFilter(since=START + 500 * SECOND)) == 500
        assert store.wait_indexed(120)
        assert store.count() == 500
        np.testing.assert_allclose(store.get(ids[:1], with_vectors=True)[0].vector, changed[0], atol=1e-6)
    with EdgeStore(tmp_path, SPACE) as store:
        assert store.count() == 500
        assert store.get(ids[500:]) == []


def test_forgetting_a_time_span_drops_whole_shards(tmp_path: Path) -> None:
    with EdgeStore(tmp_path, SPACE, shard_points=100, index=False) as store:
        for start in range(0, 350, 50):
            store.add(make_moments(50, start), make_vectors(50))
        assert store.forget(MemoryFilter(until=START + 249 * SECOND)) == 250
        assert store.count() == 100
        assert len(read_manifest(tmp_path).shards) == 2
        assert len(list((tmp_path / "shards").iterdir())) == 2


def test_one_process_at_a_time_and_one_space(tmp_path: Path) -> None:
    with EdgeStore(tmp_path, SPACE), pytest.raises(InvalidInputError, match=f"pid {os.getpid()}"):
        EdgeStore(tmp_path, SPACE)
    with pytest.raises(SpaceMismatchError, match="another"):
        EdgeStore(tmp_path, Space("another", 32))
    with EdgeStore(tmp_path, SPACE) as store:
        assert store.count() == 0
    with pytest.raises(InvalidInputError, match="closed"):
        store.count()


def test_damaged_manifest_is_one_clear_error(tmp_path: Path) -> None:
    EdgeStore(tmp_path, SPACE).close()
    (tmp_path / "memory.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"memory\.json is damaged"):
        EdgeStore(tmp_path, SPACE)
    (tmp_path / "memory.json").unlink()
    with pytest.raises(InvalidInputError, match=r"no memory\.json"):
        EdgeStore(tmp_path, SPACE)


def test_acknowledged_memories_survive_a_power_cut(tmp_path: Path) -> None:
    """A power cut loses every page that no fsync wrote: keep the segments of before, and the log as synced."""
    live, after = tmp_path / "live", tmp_path / "after"
    vectors = make_vectors(400)
    store = EdgeStore(live, SPACE, index=False)
    store.add(make_moments(100), vectors[:100])
    shutil.copytree(live, after)
    store.add(make_moments(300, 100), vectors[100:])
    (name,) = (entry.name for entry in read_manifest(live).shards)
    shutil.rmtree(after / "shards" / name / "wal")
    shutil.copytree(live / "shards" / name / "wal", after / "shards" / name / "wal")
    store.close()
    with EdgeStore(after, SPACE) as restored:
        assert restored.count() == 400
        hits = restored.search(vectors[399], 1)
        assert hits[0].moment.stamp == START + 399 * SECOND


def test_kill_nine_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Five rounds here; benchmarks/memory.py crash runs fifty on a bigger store."""
    random = np.random.default_rng(3)
    acknowledged = 0
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, str(WRITER), str(tmp_path), str(acknowledged)], stdout=subprocess.PIPE, text=True
        )
        wait = float(random.uniform(0.05, 0.6))
        line = writer.stdout.readline()
        assert line.strip().isdigit(), "the writer must store at least one batch"
        threading.Timer(wait, os.kill, (writer.pid, signal.SIGKILL)).start()
        lines = [line, *writer.stdout.readlines()]
        assert writer.wait() == -signal.SIGKILL
        acknowledged = int([text for text in lines if text.endswith("\n")][-1])
        with EdgeStore(tmp_path, SPACE, shard_points=1000) as store:
            stamps = {hit.moment.stamp for hits in store.scan() for hit in hits}
            assert {START + i * SECOND for i in range(acknowledged)} <= stamps
            assert len(stamps) == store.count()
            vectors = make_vectors(acknowledged)
            for i in random.integers(0, acknowledged, 5):
                best = store.search(vectors[i], 1, exact=True)[0]
                assert best.score == pytest.approx(1, abs=1e-4)
                assert best.moment.stamp == START + i * SECOND
