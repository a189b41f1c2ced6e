"""Fixtures for the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_moments import SPACE
from qdrant_over_http import QdrantOverHttp

from imagebind_node.memory import MemoryStore, open_memory


@pytest.fixture(params=["edge", "local", "http"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore]:
    """Every backend keeps the same contract: Qdrant Edge, qdrant-client's local mode, and that behind HTTP."""
    if request.param == "http":
        server = QdrantOverHttp()
        with open_memory(server.url, SPACE) as opened:
            yield opened
        server.close()
        return
    with open_memory(tmp_path / "memory" if request.param == "edge" else ":memory:", SPACE) as opened:
        yield opened
