"""Pairs on disk: tar shards in the layout of WebDataset, and an index with the SHA-256 of each.

A shard holds, for each pair, `KEY.jpg` (picture, if there is one), `KEY.npy` (measurement) and `KEY.json` (stamps,
session, facts).
Shards are plain tar, written the same from the same recordings to the byte. The index is written last: a folder
without one is incomplete.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagebind_node.binding.sessions import SPLITS
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.arrays import load_npy
from imagebind_node.formats.bounded import DECODER_ERRORS, MEBI, one_line

FORMAT = "imagebind_node.pairs/1"
INDEX = "index.json"
# A shard is read whole before its hash is known: this bounds the memory that a false index can ask for.
LARGEST_SHARD = 1024 * MEBI
_QUALITY = 95


@dataclass(frozen=True)
class Pair:
    """image: uint8 (H, W, 3) RGB, or None where words or the measurement itself are bound to. sense: the measurement.
    facts: `image_stamp`, `sense_stamp` (ns), `session`, and what the message said besides (`sample_rate` in Hz for
    sound, `angle_min` ... for a scan); `text`: what it shows, in words."""

    key: str
    image: np.ndarray | None
    sense: np.ndarray
    facts: dict[str, Any]


class ShardWriter:
    """Writes pairs into shards of about `shard_bytes`, those of each split apart."""

    def __init__(self, folder: Path, shard_bytes: int = 64 * MEBI) -> None:
        """Raises InvalidInputError if `folder` holds anything or cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            occupied = any(folder.iterdir())
        except OSError as error:
            raise InvalidInputError(f"cannot write to {folder}: {error.strerror}") from None
        if occupied:
            raise InvalidInputError(f"{folder} is not empty: give a new folder")
        self._folder, self._limit = folder, min(shard_bytes, LARGEST_SHARD)
        self._open: dict[str, tuple[io.BytesIO, tarfile.TarFile, int]] = {}
        self.shards: list[dict[str, Any]] = []

    def add(self, split: str, pair: Pair) -> None:
        """Append one pair to a split."""
        if split not in self._open:
            buffer = io.BytesIO()
            self._open[split] = (
                buffer,
                tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT),
                0,
            )
        buffer, tar, count = self._open[split]
        picture, array = io.BytesIO(), io.BytesIO()
        if pair.image is not None:
            Image.fromarray(pair.image).save(picture, "JPEG", quality=_QUALITY)
        np.save(array, np.ascontiguousarray(pair.sense), allow_pickle=False)
        facts = json.dumps(pair.facts, sort_keys=True).encode()
        contents = (("jpg", picture.getvalue()), ("npy", array.getvalue()), ("json", facts))
        for ending, data in contents if pair.image is not None else contents[1:]:
            member = tarfile.TarInfo(f"{pair.key}.{ending}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        self._open[split] = buffer, tar, count + 1
        if buffer.tell() >= self._limit:
            self._finish(split)

    def close(self, facts: dict[str, Any]) -> None:
        """Finish the shards and write the index, with `facts` about the whole."""
        for split in list(self._open):
            self._finish(split)
        index = {"format": FORMAT, **facts, "shards": sorted(self.shards, key=lambda s: s["file"])}
        temporary = self._folder / f".{INDEX}"
        temporary.write_text(json.dumps(index, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(self._folder / INDEX)

    def _finish(self, split: str) -> None:
        buffer, tar, count = self._open.pop(split)
        tar.close()
        data = buffer.getvalue()
        number = sum(shard["split"] == split for shard in self.shards)
        name = f"{split}-{number:06d}.tar"
        (self._folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        self.shards.append(
            {"file": name, "split": split, "pairs": count, "bytes": len(data), "sha256": digest}
        )


class PairShards:
    """A folder that `ShardWriter` wrote, streamed; every shard is checked against its hash before use."""

    def __init__(self, folder: str | Path) -> None:
        """Raises InvalidInputError if there is no index or it is not one of ours."""
        self.folder = Path(folder)
        try:
            index = json.loads((self.folder / INDEX).read_bytes())
            if not isinstance(index, dict) or index.get("format") != FORMAT:
                raise InvalidInputError(f"{self.folder / INDEX} is not an index of pairs ({FORMAT})")
            self._shards = [_checked(shard) for shard in index["shards"]]
        except OSError as error:
            raise InvalidInputError(
                f"{self.folder} holds no finished pairs ({error.strerror}): make them with `imagebind-node pairs`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InvalidInputError):
                raise
            raise InvalidInputError(f"{self.folder / INDEX} is damaged: {one_line(error)}") from None
        self.index: dict[str, Any] = index

    def count(self, split: str) -> int:
        """Number of pairs of a split."""
        return sum(shard["pairs"] for shard in self._shards if shard["split"] == split)

    def parts(self, split: str) -> list[tuple[str, int]]:
        """(SHA-256, number of pairs) of each shard of a split, in the order of `read`."""
        return [(s["sha256"], s["pairs"]) for s in self._shards if s["split"] == split]

    def digest(self, split: str) -> str:
        """Hash of the pairs of a split, from the hashes of its shards."""
        return hashlib.sha256("".join(found for found, _ in self.parts(split)).encode()).hexdigest()

    def read(
        self, split: str, *, shuffle: int | None = None, rank: int = 0, world: int = 1
    ) -> Iterator[Pair]:
        """Stream the pairs of a split; of `world` readers this one takes every world-th shard from `rank`.

        shuffle: seed of the order of shards and of the pairs within each; without, the order of recording.
        Raises InvalidInputError for a shard that is missing, altered or damaged.
        """
        shards = [shard for shard in self._shards if shard["split"] == split]
        rng = None if shuffle is None else np.random.default_rng(shuffle)
        if rng is not None:
            shards = [shards[i] for i in rng.permutation(len(shards))]
        for shard in shards[rank::world]:
            pairs = list(_members(self._verified(shard), self.folder / shard["file"]))
            if len(pairs) != shard["pairs"]:
                raise InvalidInputError(
                    f"{self.folder / shard['file']} holds {len(pairs)} pairs, but the index says {shard['pairs']}"
                )
            order = range(len(pairs)) if rng is None else rng.permutation(len(pairs))
            for i in order:
                yield _pair(*pairs[i], self.folder / shard["file"])

    def _verified(self, shard: dict[str, Any]) -> bytes:
        path = self.folder / shard["file"]
        try:
            with path.open("rb") as file:
                data = file.read(shard["bytes"] + 1)
        except OSError as error:
            raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != shard["sha256"]:
            raise InvalidInputError(
                f"{path} is not what the index says (SHA-256): copy it again, or make the pairs again"
            )
        return data


def _checked(shard: dict[str, Any]) -> dict[str, Any]:
    name = shard["file"]
    if not isinstance(name, str) or Path(name).name != name or shard["split"] not in SPLITS:
        raise InvalidInputError(f"shard {name!r} lies elsewhere or is of no split")
    if not 0 < int(shard["bytes"]) <= LARGEST_SHARD or not int(shard["pairs"]) >= 0:
        raise InvalidInputError(f"shard {name!r} has an impossible size")
    return {**shard, "bytes": int(shard["bytes"]), "pairs": int(shard["pairs"])}


def _members(data: bytes, path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, {ending: content}) of each pair."""
    found: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                content = tar.extractfile(member)
                if content is not None:
                    found.setdefault(key, {})[ending] = content.read()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise InvalidInputError(f"{path} is damaged: {one_line(error)}") from None
    yield from found.items()


def _pair(key: str, parts: dict[str, bytes], path: Path) -> Pair:
    try:
        facts = json.loads(parts["json"])
        image = None
        if "jpg" in parts:
            image = np.asarray(Image.open(io.BytesIO(parts["jpg"]), formats=["JPEG"]).convert("RGB"))
        return Pair(key, image, load_npy(parts["npy"]), facts)
    except (*DECODER_ERRORS, Image.DecompressionBombError) as error:
        raise InvalidInputError(f"{path}, pair {key}: damaged: {one_line(error)}") from None
