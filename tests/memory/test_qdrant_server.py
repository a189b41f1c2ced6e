"""The server backend over HTTP: the contract of test_memory_store.py runs on it, too; here is what only it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_moments import SPACE, START, make_moments, make_vectors
from qdrant_over_http import QdrantOverHttp

from imagebind_node.cli.main import main
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory import MemoryFilter, open_memory
from imagebind_node.memory.edge.store import EdgeStore
from imagebind_node.memory.server import KEY_VARIABLE, StoreUnreachableError


@pytest.fixture
def server() -> Iterator[QdrantOverHttp]:
    made = QdrantOverHttp()
    yield made
    made.close()


def test_the_collection_is_int8_indexed_and_made_once(server: QdrantOverHttp) -> None:
    for _ in range(2):
        open_memory(server.url, SPACE, shards=6, replicas=3).close()
    made = [body for method, path, body, _ in server.requests if (method, path.count("/")) == ("PUT", 2)]
    assert len(made) == 1
    assert made[0]["vectors"] == {"size": SPACE.dim, "distance": "Dot", "on_disk": True}
    assert made[0]["quantization_config"]["scalar"]["type"] == "int8"
    wanted = (made[0]["shard_number"], made[0]["replication_factor"], made[0]["write_consistency_factor"])
    assert wanted == (6, 3, 2), "a write is acknowledged by a majority of the replicas"
    indexed = {body["field_name"] for method, path, body, _ in server.requests if "/index" in path}
    assert {"stamp", "modality", "robot", "labels", "source", "pose.x", "pose.y", "pose.z"} == indexed


def test_writes_wait_and_searches_rescore(server: QdrantOverHttp) -> None:
    with open_memory(server.url, SPACE) as store:
        store.add(make_moments(20), make_vectors(20))
        where = MemoryFilter(since=START, modalities=("vision",))
        assert len(store.search(make_vectors(20)[3], 5, where, exact=False)) == 5
    writes = [path for method, path, _, _ in server.requests if method == "PUT" and "/points" in path]
    assert writes and all("wait=true" in path for path in writes)
    (query,) = [body for _, path, body, _ in server.requests if path.split("?")[0].endswith("/query")]
    assert query["params"]["quantization"]["rescore"] is True
    assert {condition["key"] for condition in query["filter"]["must"]} == {"stamp", "modality"}


def test_a_wrong_key_is_one_clear_error(server: QdrantOverHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    server.api_key = "secret"
    with pytest.raises(StoreUnreachableError, match="401") as caught:
        open_memory(server.url, SPACE)
    assert KEY_VARIABLE in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    with pytest.warns(UserWarning, match="insecure"), open_memory(server.url, SPACE) as store:
        assert store.count() == 0


@pytest.mark.parametrize("url", ["grpc://fleet:6334", "http://fleet:no-port", "fleet://"])
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="URL"):
        open_memory(url, SPACE, timeout=2)


def test_upload_goes_on_after_a_cut_connection_and_repeats_without_harm(
    server: QdrantOverHttp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = make_vectors(1200)
    with EdgeStore(tmp_path, SPACE, shard_points=600, index=False) as robot:
        for start in range(0, 1200, 100):
            robot.add(make_moments(100, start, robot="r2"), vectors[start : start + 100])
    command = ["memory", "upload", str(tmp_path), server.url, "--json"]
    server.fail_after = 1  # the second batch is stored, and its acknowledgement lost
    assert main(command) == 2
    error = capsys.readouterr().err
    assert server.url in error and len(error.strip().splitlines()) == 1
    assert main(command) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["total"] == 1200
    assert second["sent"] == 700, "the first batch of 500 was acknowledged"
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["sent"], again["skipped_shards"], again["total"]) == (0, 2, 1200)
    with open_memory(server.url, SPACE) as fleet:
        best = fleet.search(vectors[777], 1, MemoryFilter(robots=("r2",)), with_vectors=True)[0]
    assert best.moment == make_moments(1, 777, robot="r2")[0]
    np.testing.assert_allclose(best.vector, vectors[777], atol=1e-6)
