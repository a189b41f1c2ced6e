"""The way from one embedding to another."""

from __future__ import annotations

from imagebind_node.arithmetic import combine_spherical
from imagebind_node.embedding import Embedding
from imagebind_node.errors import InvalidInputError


def interpolate(start: Embedding, end: Embedding, count: int) -> list[Embedding]:
    """`count` embeddings at equal angles from `start` to `end`, both included (slerp, Shoemake 1985).

    Raises InvalidInputError for fewer than 2, for an end that abstained and for ends opposite to each other.
    """
    if count < 2:
        raise InvalidInputError(f"a strip needs at least 2 pictures, not {count}")
    if start.abstained or end.abstained:
        raise InvalidInputError("there is too little evidence in an end of the strip: give a clearer one")
    middle = [
        combine_spherical([start, end], [1 - i / (count - 1), i / (count - 1)]) for i in range(1, count - 1)
    ]
    return [start, *middle, end]
