"""Pictures, the sounds that the pictured things make, and their names, from Debian's tuxpaint-stamps-default.

  python benchmarks/tuxpaint_pairs.py OUT

Writes OUT/pairs.json, the list that `imagebind-node evaluate retrieval` and `evaluate vision-model` read. The package
is fetched with `apt-get download` unless OUT/package holds it unpacked. Stamps drawn as SVG are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

PACKAGE = "tuxpaint-stamps-default"
STAMPS = Path("usr/share/tuxpaint/stamps")
SOUNDS = (".ogg", ".wav")
# Their sounds are words, music or jokes, not what the thing itself sounds like.
OTHER_SOUNDS = {
    "apollo_lander",
    "apple_red",
    "bathyscape",
    "checkeredflag",
    "final-roll-call",
    "ghost",
    "hard_candy",
    "no_uturn",
    "rubberduck",
    "santahat",
    "xing_ped",
    "xing_school",
}
OTHER_FOLDERS = ("symbols", "hanukkah")


def main() -> None:
    """Fetch, convert, list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    stamps = unpacked(args.out / "package")
    (args.out / "pairs").mkdir(exist_ok=True)
    entries = []
    for sound in sorted(path for path in stamps.rglob("*") if path.suffix in SOUNDS):
        picture = sound.with_suffix(".png")
        where = sound.relative_to(stamps).as_posix()
        if not picture.exists() or sound.stem in OTHER_SOUNDS or any(f in where for f in OTHER_FOLDERS):
            continue
        number = f"pairs/{len(entries):03d}"
        on_white(picture).save(args.out / f"{number}.png")
        shutil.copy(sound, args.out / f"{number}{sound.suffix}")
        entries.append(
            {
                "name": sound.stem,
                "text": name_of(sound.with_suffix(".txt"), sound.stem),
                "image": f"{number}.png",
                "sound": f"{number}{sound.suffix}",
            }
        )
    (args.out / "pairs.json").write_text(json.dumps(entries, indent=1))
    print(
        f"{len(entries)} pairs, {len({entry['text'] for entry in entries})} names in {args.out / 'pairs.json'}"
    )


def unpacked(folder: Path) -> Path:
    """The stamps of the package, fetched if they are not there."""
    if not (folder / STAMPS).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=scratch, check=True)
            package = next(Path(scratch).glob("*.deb"))
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder / STAMPS


def on_white(path: Path) -> Image.Image:
    """The visible part of a stamp on white."""
    stamp = Image.open(path).convert("RGBA")
    stamp = stamp.crop(stamp.getchannel("A").point(lambda alpha: 255 * (alpha > 20)).getbbox())
    picture = Image.new("RGB", stamp.size, (255, 255, 255))
    picture.paste(stamp, (0, 0), stamp)
    return picture


def name_of(note: Path, otherwise: str) -> str:
    """First line of a stamp's description, without article, remarks in brackets and full stop."""
    text = note.read_text("utf-8", "replace").splitlines()[0] if note.exists() else otherwise
    text = re.sub(r"\(.*?\)", "", text).strip(" .")
    return re.sub(r"^(An?|The)\s+", "", text).lower()


if __name__ == "__main__":
    main()
