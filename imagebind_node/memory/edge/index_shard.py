"""Child process: build the graph and the int8 copies of one shard. `python -m ...index_shard FOLDER`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Index the shard in the folder argv[1], which nobody else has open."""
    # An orphan would go on burning a core for a copy that the next start throws away.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)
    import qdrant_edge as qdrant

    shard = qdrant.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
