"""Shards -> what a trainer reads: anchors and preprocessed inputs of each split.

Inputs lie in one array file a split, mapped and not read: any number of processes and reading workers share it, and
data may be larger than the memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagebind_node.binding.anchors import AnchorTower, Progress, embed_anchors, embed_views
from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.preprocessing import build_preprocessing
from imagebind_node.binding.recipe import Recipe
from imagebind_node.binding.senses import sense_of
from imagebind_node.binding.sessions import SPLITS
from imagebind_node.binding.shards import PairShards
from imagebind_node.binding.views import WHOLE, ViewAnchors, Views, region
from imagebind_node.embedding import Space
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.samples import new_modality

logger = logging.getLogger(__name__)


def prepare(recipe: Recipe, tower: AnchorTower, shards: PairShards, folder: Path, progress: Progress) -> None:
    """Write inputs, anchors and facts of every split below `folder`.

    Pairs whose anchor abstained or whose measurement cannot be preprocessed are left out and counted, with the first
    reason. Raises InvalidInputError if none is left of a split, or inputs differ in shape.
    """
    for split in SPLITS:
        if shards.count(split):
            _prepare_split(recipe, tower, shards, split, folder, progress)
    if not (folder / "train.json").is_file():
        raise InvalidInputError(f"{shards.folder} holds no pairs to train on (split `train` is empty)")


def is_prepared(shards: PairShards, folder: Path) -> bool:
    """Whether `folder` holds what `prepare` makes of these very shards."""
    for split in SPLITS:
        if shards.count(split):
            try:
                facts = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return False
            if facts.get("data") != shards.digest(split):
                return False
    return True


def load_prepared(folder: Path, space: Space) -> tuple[dict[str, Pairs], dict[str, dict[str, Any]]]:
    """(pairs, {reason: count} of what was left out), each by split; `prepare` wrote them."""
    pairs, left_out = {}, {}
    for split in SPLITS:
        facts_file = folder / f"{split}.json"
        if not facts_file.is_file():
            continue
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
        rows = np.array(facts["rows"])
        inputs = np.load(folder / f"{split}_inputs.npy", mmap_mode="r", allow_pickle=False)
        anchors = np.load(folder / f"{split}_anchors.npy", allow_pickle=False)
        pairs[split] = Pairs(
            anchors,
            _Rows(inputs, rows),
            space,
            groups=np.array(facts["groups"]),
            digest=facts["digest"],
            views=_load_views(folder, split),
        )
        left_out[split] = facts["left_out"]
    return pairs, left_out


class _Rows(Sequence[torch.Tensor]):
    """Some rows of a mapped array, copied one at a time."""

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self._array, self._rows = array, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return torch.from_numpy(np.array(self._array[self._rows[index]]))


def _prepare_split(
    recipe: Recipe, tower: AnchorTower, shards: PairShards, split: str, folder: Path, progress: Progress
) -> None:
    count, data = shards.count(split), shards.digest(split)
    anchors, usable = embed_anchors(tower, shards, split, progress)
    function = build_preprocessing(recipe.preprocessing).function
    modality = new_modality(recipe.modality)
    folder.mkdir(parents=True, exist_ok=True)
    inputs: np.memmap | None = None
    rows: list[int] = []
    keys: list[str] = []
    groups: list[str] = []
    left_out: dict[str, int] = {}
    for place, pair in enumerate(progress(shards.read(split), f"inputs of {split}", count)):
        if not usable[place]:
            _count(left_out, "nothing recognised in what it is bound to")
            continue
        try:
            made = function(sense_of(pair, modality)).float().numpy()
            if not np.isfinite(made).all():
                raise InvalidInputError("the tower's input holds NaN or infinite values")
        except ImagebindNodeError as error:
            _count(left_out, str(error))
            continue
        if inputs is None:
            inputs = np.lib.format.open_memmap(
                folder / f"{split}_inputs.npy", "w+", np.float32, (count, *made.shape)
            )
        if made.shape != inputs.shape[1:]:
            raise InvalidInputError(
                f"pair {pair.key}: preprocessing gave {made.shape}, but {inputs.shape[1:]} for pairs before it"
            )
        inputs[place] = made
        rows.append(place)
        keys.append(pair.key)
        groups.append(str(pair.facts.get("session", pair.key)))
    if inputs is None or len(rows) < 2:
        why = next(iter(left_out), "the shards are empty")
        raise InvalidInputError(f"no usable pair in split {split}: {why}")
    inputs.flush()
    np.save(folder / f"{split}_anchors.npy", anchors[rows])
    if split == "train" and recipe.views.count:
        versions, seen = embed_views(tower, shards, split, recipe.views, progress)
        _save_views(folder, split, recipe.views, keys, anchors[rows], versions[rows], seen[rows])
    key = json.dumps(
        [data, tower.key(data, recipe.views), recipe.plain["preprocessing"], recipe.modality, rows]
    )
    facts = {
        "digest": hashlib.sha256(key.encode()).hexdigest(),
        "data": data,
        "rows": rows,
        "groups": groups,
        "left_out": left_out,
    }
    (folder / f"{split}.json").write_text(json.dumps(facts), encoding="utf-8")
    for reason, number in left_out.items():
        logger.warning("%d of %d pairs of %s are left out: %s", number, count, split, reason)


def _save_views(
    folder: Path,
    split: str,
    views: Views,
    keys: list[str],
    anchors: np.ndarray,
    versions: np.ndarray,
    seen: np.ndarray,
) -> None:
    """Where nothing is recognised in a version, the whole picture stands for it."""
    places = np.array([[region(views, key, number) for number in range(views.count)] for key in keys])
    places[~seen] = WHOLE
    versions = np.where(seen[..., None], versions, anchors[:, None])
    np.save(folder / f"{split}_versions.npy", versions)
    if views.aligned:
        np.save(folder / f"{split}_places.npy", places)


def _load_views(folder: Path, split: str) -> ViewAnchors | None:
    versions, places = folder / f"{split}_versions.npy", folder / f"{split}_places.npy"
    if not versions.is_file():
        return None
    return ViewAnchors(
        np.load(versions, mmap_mode="r", allow_pickle=False),
        np.load(places, allow_pickle=False) if places.is_file() else None,
    )


def _count(reasons: dict[str, int], reason: str) -> None:
    """Reasons that name each pair anew would make a list as long as the data."""
    key = reason if reason in reasons or len(reasons) < 8 else "other reasons"
    reasons[key] = reasons.get(key, 0) + 1
