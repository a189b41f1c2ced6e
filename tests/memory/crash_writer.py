"""Stores moments until it is killed, and prints how many are acknowledged. Run by test_memory_edge.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from made_moments import SPACE, make_moments, make_vectors

from imagebind_node.memory.edge.store import EdgeStore

folder, done = sys.argv[1], int(sys.argv[2])
vectors = make_vectors(100_000)
store = EdgeStore(folder, SPACE, shard_points=1000)
while done < len(vectors):
    store.add(make_moments(50, done), vectors[done : done + 50])
    done += 50
    print(done, flush=True)
