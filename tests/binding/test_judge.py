"""What is said of held-out pairs: recall, and intervals only where there is something to resample."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.binding.judge import agreement, recall


def test_recall_resamples_sessions():
    rank = np.array([0, 0, 0, 5, 5, 5, 0, 3])
    found = recall(rank, 8, np.array(list("aaabbbcc")), 1)
    assert found["value"] == 0.5 and found["chance"] == pytest.approx(1 / 8)
    assert (found["n"], found["groups"]) == (8, 3)
    low, high = found["ci95"]
    # Sessions of one kind each: resampled as a whole, they may all be hits or all be misses.
    assert (low, high) == (0.0, 1.0)


def test_one_session_gives_no_interval():
    rows = np.eye(4, dtype=np.float32)
    found = agreement(rows, rows, np.array(["a"] * 4))
    assert found["recall_at_1"]["value"] == 1.0
    assert found["recall_at_1"]["ci95"] is None and found["recall_at_1"]["groups"] == 1
