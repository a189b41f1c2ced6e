"""Fixtures for the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_moments import SPACE

from imagebind_node.memory import MemoryStore, open_memory


@pytest.fixture(params=["edge", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore]:
    """Every backend keeps the same contract; "server" is qdrant-client's local mode."""
    location = tmp_path / "memory" if request.param == "edge" else ":memory:"
    with open_memory(location, SPACE) as opened:
        yield opened
