"""Pairs to bind with: the frozen embedding of a picture (or of words), and what the new sense measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imagebind_node.binding.views import ViewAnchors
from imagebind_node.embedding import Space
from imagebind_node.errors import ImagebindNodeError, InvalidInputError

_NORM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Pairs:
    """N rows; anchor i belongs to sample i.

    anchors: float32 (N, D), unit, of the frozen tower. samples: N items, an array or tensor (N, ...) or any
    sequence (of paths, samples ...). space: where the anchors live. preprocess: one item -> float32 tensor, the
    tower's input; without it the items are those inputs already. groups: (N,) names of what must not be split
    between training and test (session, class); default: each row is its own. digest: tells this data from other;
    computed from anchors and groups if not given. views: augmented versions, to train on in place of `anchors`.
    """

    anchors: np.ndarray
    samples: Sequence[Any] | np.ndarray | Tensor
    space: Space
    preprocess: Callable[[Any], Tensor] | None = None
    groups: np.ndarray | None = None
    digest: str = ""
    views: ViewAnchors | None = None

    def __post_init__(self) -> None:
        anchors = np.asarray(self.anchors)
        if anchors.dtype != np.float32 or anchors.ndim != 2 or anchors.shape[1] != self.space.dim:
            raise InvalidInputError(
                f"anchors of space {self.space.id!r} must be float32 (N, {self.space.dim}), "
                f"got {anchors.dtype} {anchors.shape}"
            )
        if len(anchors) < 2:
            raise InvalidInputError(f"binding needs at least 2 pairs, got {len(anchors)}")
        if len(self.samples) != len(anchors):
            raise InvalidInputError(f"{len(anchors)} anchors but {len(self.samples)} samples")
        if not (np.abs(np.linalg.norm(anchors, axis=1) - 1) < _NORM_TOLERANCE).all():
            raise InvalidInputError("anchors must be unit vectors: some are not, or hold NaN")
        groups = np.arange(len(anchors)).astype(str) if self.groups is None else np.asarray(self.groups)
        if groups.shape != (len(anchors),):
            raise InvalidInputError(f"{len(anchors)} anchors but groups of shape {groups.shape}")
        object.__setattr__(self, "groups", groups)
        if not self.digest:
            object.__setattr__(self, "digest", _digest(anchors, groups))

    def __len__(self) -> int:
        return len(self.anchors)

    def input(self, index: int) -> Tensor:
        """The tower's input for one row, float32, without batch dimension. Raises InvalidInputError naming the row."""
        item = self.samples[index]
        try:
            made = torch.as_tensor(item) if self.preprocess is None else self.preprocess(item)
        except ImagebindNodeError as error:
            raise InvalidInputError(f"pair {index}: {error}") from error
        made = made.float()
        if not bool(torch.isfinite(made).all()):
            raise InvalidInputError(f"pair {index}: the input holds NaN or infinite values")
        return made

    def part(self, rows: np.ndarray) -> Pairs:
        """The pairs at `rows` (indices or a boolean mask (N,))."""
        chosen = np.arange(len(self))[rows]
        if isinstance(self.samples, (np.ndarray, Tensor)):
            samples: Any = self.samples[chosen]
        else:
            samples = [self.samples[i] for i in chosen]
        groups = _groups(self)[chosen]
        digest = hashlib.sha256(f"{self.digest} {chosen.tolist()}".encode()).hexdigest()
        views = None if self.views is None else self.views.part(chosen)
        return Pairs(self.anchors[chosen], samples, self.space, self.preprocess, groups, digest, views)

    def split(self, share: float, seed: int = 0) -> tuple[Pairs, Pairs]:
        """(rest, about `share` of the rows): whole groups only, so that nothing leaks. Deterministic by `seed`."""
        groups = _groups(self)
        names = np.unique(groups)
        held = _draw(names, [int((groups == name).sum()) for name in names], share, seed)
        mask = np.isin(groups, held)
        if mask.all() or not mask.any() or min(mask.sum(), (~mask).sum()) < 2:
            raise InvalidInputError(
                f"{len(self)} pairs in {len(names)} groups cannot be split with a share of {share}: record more "
                "sessions, or set the share to 0"
            )
        return self.part(~mask), self.part(mask)


def folds(groups: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Number of the fold (0..count-1) of every row; rows of one group share it. Deterministic by `seed`."""
    names = np.unique(groups)
    if len(names) < count:
        raise InvalidInputError(f"{len(names)} groups cannot make {count} folds")
    order = np.random.default_rng(seed).permutation(len(names))
    number = {names[place]: k % count for k, place in enumerate(order)}
    return np.array([number[name] for name in groups])


def _groups(pairs: Pairs) -> np.ndarray:
    assert pairs.groups is not None
    return pairs.groups


def _draw(names: np.ndarray, sizes: list[int], share: float, seed: int) -> list[Any]:
    """Names in random order until they hold `share` of the rows."""
    held, rows = [], 0
    for place in np.random.default_rng(seed).permutation(len(names)):
        if rows >= share * sum(sizes):
            break
        held.append(names[place])
        rows += sizes[place]
    return held


def _digest(anchors: np.ndarray, groups: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(anchors).tobytes())
    digest.update("\0".join(map(str, groups)).encode())
    return digest.hexdigest()
