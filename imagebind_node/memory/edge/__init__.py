"""Memory in this process on Qdrant Edge: time-ordered shards, indexed in the background by a child process.

Qdrant Edge holds Python's global lock while it builds an index, minutes for a big one. A shard is therefore closed
for growth at `shard_points`, copied, indexed by a child process and exchanged; meanwhile it is scanned in full.
"""
