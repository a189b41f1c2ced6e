"""Child process: copy a shard into an empty one and index that. `python index_shard.py SOURCE TARGET`.

The indexed shard has no write-ahead log: a log stays mapped, 50 MB a shard, and the shard takes few more writes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the shard in folder argv[1], fill the one in argv[2]; nobody else has them open."""
    # An orphan would go on burning a core for a copy that the next start throws away.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)
    import qdrant_edge as qdrant

    source = qdrant.EdgeShard.load(sys.argv[1])
    target = qdrant.EdgeShard.load(sys.argv[2])
    offset = None
    while True:
        request = qdrant.ScrollRequest(offset=offset, limit=1000, with_payload=True, with_vector=True)
        records, offset = source.scroll(request)
        points = [qdrant.Point(r.id, r.vector or {}, r.payload) for r in records]
        target.update(qdrant.UpdateOperation.upsert_points(points))
        if offset is None:
            break
    source.close()
    target.optimize()
    target.flush()
    target.close()


if __name__ == "__main__":
    main()
