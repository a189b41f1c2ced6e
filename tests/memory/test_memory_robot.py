"""A robot's memory: novelty, limits, thumbnails, and the upload to a fleet's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_moments import SECOND, SPACE, START, make_moments, make_vectors

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.memory import Memory, MemoryFilter, MemoryStore, open_memory
from imagebind_node.memory.edge.store import EdgeStore
from imagebind_node.memory.memory import Impression, Retention
from imagebind_node.memory.novelty import NoveltyGate
from imagebind_node.memory.server import ServerStore, StoreUnreachableError
from imagebind_node.memory.upload import PROGRESS_FILE, upload
from imagebind_node.samples import Modality


def impression(vector: np.ndarray, seconds: float, **details: object) -> Impression:
    embedding = Embedding(
        vector, Modality.VISION, SPACE, stamp=START + int(seconds * SECOND), frame_id="camera"
    )
    return Impression(embedding, "embedding/vision", **details)


def test_only_news_is_kept(store: MemoryStore) -> None:
    scene, other = make_vectors(2)
    memory = Memory(store, novelty=NoveltyGate(threshold=0.95, horizon=30))
    nearly = scene + 0.02 * make_vectors(1, seed=8)[0]
    kept = [bool(memory.remember([impression(v, t)])) for t, v in enumerate((scene, nearly, other, scene))]
    assert kept == [True, False, True, False]
    assert memory.remember([impression(scene, 40)]), "after the horizon the same is news again"
    assert memory.skipped == 2
    silent = Embedding(np.zeros(0, np.float32), Modality.AUDIO, SPACE, abstained=True)
    assert memory.remember([Impression(silent)]) == []
    with pytest.raises(SpaceMismatchError):
        memory.remember([Impression(Embedding(np.ones(4, np.float32), Modality.AUDIO, Space("x", 4)))])


def test_thumbnails_live_and_die_with_their_moments(store: MemoryStore, tmp_path: Path) -> None:
    memory = Memory(store, media=tmp_path / "media_folder", robot="rover")
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[..., 0] = 255
    vectors = make_vectors(3)
    for i, vector in enumerate(vectors):
        memory.remember([impression(vector, i, picture=picture)])
    hit = memory.search(vectors[0], 1)[0]
    assert hit.moment.robot == "rover"
    jpeg = memory.thumbnail(hit)
    assert jpeg is not None
    assert jpeg[:2] == b"\xff\xd8"
    files = list((tmp_path / "media_folder").rglob("*.jpg"))
    assert len(files) == 3
    assert memory.forget(MemoryFilter(until=START + SECOND)) == 2
    assert len(list((tmp_path / "media_folder").rglob("*.jpg"))) == 1
    store.trim(0)
    assert not list((tmp_path / "media_folder").rglob("*.jpg"))


def test_a_foreign_media_reference_reaches_no_other_file(tmp_path: Path) -> None:
    from imagebind_node.memory.media import MediaFolder

    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    media = MediaFolder(tmp_path / "memory")
    for reference in ("../secret.txt", str(secret), "media/../../secret.txt", ""):
        assert media.read(reference) is None
        media.discard([reference])
    assert secret.exists()


def test_age_and_number_are_limited(store: MemoryStore) -> None:
    store.add(make_moments(100), make_vectors(100))
    memory = Memory(store, retention=Retention(max_age=49.5, max_moments=20))
    assert memory.expire(START + 100 * SECOND) == 80
    assert store.count() == 20
    assert store.count(MemoryFilter(since=START + 80 * SECOND)) == 20
    for limits in ({"max_age": 0.0}, {"max_moments": 0}, {"max_bytes": 0}):
        with pytest.raises(InvalidInputError):
            Retention(**limits)


def test_the_size_on_the_disk_is_limited_by_dropping_the_oldest_shards(tmp_path: Path) -> None:
    def on_disk() -> int:
        return sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*") if path.is_file())

    picture = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    vectors = make_vectors(400)
    with EdgeStore(tmp_path, SPACE, shard_points=100, index=False) as store:
        memory = Memory(store, media=tmp_path)
        for first in range(0, 400, 50):
            memory.remember([impression(vectors[i], i, picture=picture) for i in range(first, first + 50)])
        everything = on_disk()
        memory.retention = Retention(max_bytes=2 * everything)
        assert memory.expire(0) == 0
        # Of five shards, the growing one empty, with 400 thumbnails.
        memory.retention = Retention(max_bytes=int(0.55 * everything))
        assert memory.expire(0) == 200
        assert on_disk() < 0.6 * everything
        assert store.span()[0] == START + 200 * SECOND
        assert len(list(tmp_path.glob("media/*/*.jpg"))) == 200
        memory.retention = Retention(max_bytes=1)
        assert memory.expire(0) == 200
        assert store.count() == 0
        assert memory.expire(0) == 0, "the growing shard stays"
        assert memory.remember([impression(vectors[0], 500)])


class UnpluggedError(Exception):
    """The network went away."""


class LossyStore(ServerStore):
    """A real store that fails after some batches, once."""

    batches = 3

    def add(self, moments: list, vectors: np.ndarray) -> list[str]:
        if self.batches == 0:
            self.batches = 10_000
            raise UnpluggedError
        self.batches -= 1
        return super().add(moments, vectors)


def test_upload_goes_on_where_it_broke_off_and_may_be_repeated(tmp_path: Path) -> None:
    vectors = make_vectors(900)
    with (
        EdgeStore(tmp_path, SPACE, shard_points=300, index=False) as robot,
        LossyStore(":memory:", SPACE) as fleet,
    ):
        for start in range(0, 900, 100):
            robot.add(make_moments(100, start, robot="r2"), vectors[start : start + 100])
        with pytest.raises(UnpluggedError):
            upload(robot, fleet, "fleet", batch=100)
        assert 0 < fleet.count() < 900
        assert (tmp_path / PROGRESS_FILE).is_file()
        sent = upload(robot, fleet, "fleet", batch=100).sent
        assert sent == 600, "what had been acknowledged is not sent again"
        assert fleet.count() == 900
        again = upload(robot, fleet, "fleet", batch=100)
        assert (again.sent, again.skipped_shards) == (0, 3)
        robot.add(make_moments(50, 900, robot="r2"), make_vectors(50, seed=3))
        assert upload(robot, fleet, "fleet").sent == 50
        assert upload(robot, fleet, "fleet").sent == 50, "the growing shard is repeated, without harm"
        assert fleet.count() == 950
        best = fleet.search(vectors[123], 1, MemoryFilter(robots=("r2",)), with_vectors=True)[0]
        assert best.moment.stamp == START + 123 * SECOND
        np.testing.assert_allclose(best.vector, vectors[123], atol=1e-6)
        assert upload(robot, fleet, "another fleet").sent == 950


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(StoreUnreachableError, match="http://127.0.0.1:9") as caught:
        open_memory("http://127.0.0.1:9", SPACE, timeout=2)
    assert "\n" not in str(caught.value)
