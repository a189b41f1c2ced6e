"""What a robot saw, heard and felt, kept so that any sense can ask for it.

`open_memory` gives a `MemoryStore`: embedded on this machine (Qdrant Edge, `memory/edge/`) for a folder, or on a
Qdrant server or cluster (`memory/server.py`) for a URL. `Memory` adds what a robot wants on top: near-duplicates
are skipped, old moments expire, thumbnails are kept.
"""

from __future__ import annotations

from imagebind_node.memory.filters import MemoryFilter, Place
from imagebind_node.memory.memory import Memory
from imagebind_node.memory.moment import Hit, Moment, Pose
from imagebind_node.memory.store import MemoryStore, open_memory

__all__ = ["Hit", "Memory", "MemoryFilter", "MemoryStore", "Moment", "Place", "Pose", "open_memory"]
