"""Photographs and sounds of farm animals from Debian's gcompris-qt-data.

  python benchmarks/gcompris_farm.py OUT

Writes OUT/NAME.webp and OUT/NAME.ogg, what `binding_pairs.py sound --farm` and `farm_animals.py` read. The package (42
MiB) is fetched with `apt-get download`; it keeps each activity in a binary Qt resource file.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "gcompris-qt-data"
RESOURCE = Path("usr/share/gcompris-qt/rcc/explore_farm_animals.rcc")
ANIMALS = "explore_farm_animals/resource/animals/"
_ZLIB, _FOLDER = 1, 2


def main() -> None:
    """Fetch, unpack, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=scratch, check=True)
        subprocess.run(["dpkg-deb", "-x", next(Path(scratch).glob("*.deb")), scratch], check=True)
        data = (Path(scratch) / RESOURCE).read_bytes()
    written = []
    for path, content in resources(data):
        if ANIMALS in path and path.endswith((".webp", ".ogg")):
            written.append(args.out / Path(path).name)
            written[-1].write_bytes(content)
    print(f"{len(written)} files in {args.out}")


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the files in a binary Qt resource, as Qt's `rcc --binary` writes it (format 2 and 3)."""
    magic, version, tree, payload, names = struct.unpack_from(">4siiii", data)
    if magic != b"qres" or version not in (2, 3):
        raise SystemExit(f"{RESOURCE} is no Qt resource of a known format")

    def walk(number: int, path: str) -> Iterator[tuple[str, bytes]]:
        at = tree + 22 * number
        name, flags = struct.unpack_from(">iH", data, at)
        if number:
            (length,) = struct.unpack_from(">H", data, names + name)
            start = names + name + 6
            path = f"{path}/{data[start : start + 2 * length].decode('utf-16-be')}"
        if flags & _FOLDER:
            count, first = struct.unpack_from(">ii", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        (offset,) = struct.unpack_from(">i", data, at + 10)
        (length,) = struct.unpack_from(">i", data, payload + offset)
        content = data[payload + offset + 4 : payload + offset + 4 + length]
        # qCompress puts the length of the content before the stream.
        yield path, zlib.decompress(content[4:]) if flags & _ZLIB else content

    yield from walk(0, "")


if __name__ == "__main__":
    main()
