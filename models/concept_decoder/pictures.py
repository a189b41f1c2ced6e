"""Pictures of two Debian packages, as the training of the decoder takes them; writes WORK/pictures.npz.

  python models/concept_decoder/pictures.py WORK        # fetches what is not in WORK, by apt-get download

Needs apt-get, dpkg-deb and fontTools. No picture or sound of Tux Paint or GCompris is used: those are for evaluation.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from imagebind_node import Modality, load_encoder

SIDE = 64
LARGE = 256
PACKAGES = {
    "openclipart-png=1:0.18+dfsg-19": "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    "fonts-noto-color-emoji=2.042-0+deb12u1": (
        "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751"
    ),
}
CLIP_ART = "usr/share/openclipart/png"
FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
FONT_SIZE = 109  # the only one this bitmap font has
# Folders of the clip art without things that one could see or hear.
NO_THINGS = (
    *("computer/icons", "computer/buttons", "buttons", "logos", "geography", "special", "shapes"),
    *("signs_and_symbols/flags", "signs_and_symbols/map_symbols", "signs_and_symbols/led"),
    *("transportation/aiga-symbols", "transportation/roadsigns", "recreation/games", "unsorted/duplicates"),
)
NO_EMOJI = re.compile(
    "BUTTON|SQUARED|CLOCK FACE|ARROW|SYMBOL FOR|MODIFIER|KEYCAP|REGIONAL|INPUT|CIRCLED|MARK|SIGN"
)
NO_WORDS = re.compile(r"[^a-z]+|\b(architetto|architet|francesco|nicu|buculei|ganson|svg|png|md|v)\b")


def main() -> None:
    """Fetch, unpack, draw and embed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    unpacked = fetch(work)
    named = list(distinct([*clip_art(unpacked / CLIP_ART), *emoji(unpacked / FONT)]))
    small = np.stack([np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)) for _, picture in named])
    print(f"{len(named)} pictures", flush=True)
    encoder = load_encoder("concept", modalities=["vision", "text", "audio"])
    own = vectors(encoder, Modality.VISION, list(small))
    words = vectors(encoder, Modality.TEXT, [name for name, _ in named])
    sound_like, sounding = as_sounds(own, encoder)
    np.savez(
        work / "pictures.npz",
        pictures=small,
        own=own.numpy(),
        words=words.numpy(),
        sound_like=sound_like.numpy(),
        sounding=sounding.numpy(),
        names=np.array([name for name, _ in named]),
    )


def fetch(work: Path) -> Path:
    """Folder with the unpacked packages; sys.exit if one is not what it should be."""
    unpacked = work / "unpacked"
    for package, expected in PACKAGES.items():
        name, _, version = package.partition("=")
        found = list(work.glob(f"{name}_*.deb"))
        if not found:
            subprocess.run(["apt-get", "download", package], cwd=work, check=True)
            found = list(work.glob(f"{name}_*.deb"))
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if digest != expected:
            sys.exit(f"{found[0]} has sha256 {digest}, expected {expected}: fetch version {version}")
        if not (unpacked / f"usr/share/doc/{name}/copyright").exists():
            subprocess.run(["dpkg-deb", "-x", found[0], unpacked], check=True)
    return unpacked


def clip_art(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """(words of folder and file name, picture on white), things only."""
    for path in sorted(folder.rglob("*.png")):
        place = path.relative_to(folder)
        if str(place).startswith(tuple(f"{name}/" for name in NO_THINGS)):
            continue
        try:
            picture = Image.open(path).convert("RGBA")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            print(f"left out {place}: {error}")
            continue
        words = " ".join(NO_WORDS.sub(" ", path.stem.lower()).split())
        yield f"{path.parent.name.replace('_', ' ')} {words}".strip(), on_white(picture)


def emoji(path: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name in Unicode, picture on white) of single code points."""
    from fontTools.ttLib import TTFont

    font = ImageFont.truetype(str(path), FONT_SIZE)
    for point in sorted(TTFont(str(path)).getBestCmap()):
        name = unicodedata.name(chr(point), "")
        if point < 0x2600 or not name or NO_EMOJI.search(name):
            continue
        drawn = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(drawn).text((12, 12), chr(point), font=font, embedded_color=True)
        if drawn.getbbox() is not None:
            yield name.lower().replace("face", "").strip(), on_white(drawn)


def on_white(picture: Image.Image) -> Image.Image:
    """Cut to what is drawn, on a white square with a margin, LARGE pixels a side."""
    box = picture.getchannel("A").getbbox() or (0, 0, *picture.size)
    picture = picture.crop(box)
    picture.thumbnail((LARGE - 16, LARGE - 16), Image.Resampling.LANCZOS)
    if max(picture.size) < LARGE - 16:
        factor = (LARGE - 16) / max(picture.size)
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (LARGE, LARGE), "white")
    square.paste(picture, ((LARGE - picture.width) // 2, (LARGE - picture.height) // 2), picture)
    return square


def distinct(named: list[tuple[str, Image.Image]]) -> Iterator[tuple[str, Image.Image]]:
    """Without repeated pictures and without those that show next to nothing."""
    seen = set()
    for name, picture in named:
        thumb = np.asarray(picture.convert("L").resize((12, 12), Image.Resampling.BOX)) // 16
        key = thumb.tobytes()
        if key not in seen and thumb.std() > 0.5:
            seen.add(key)
            yield name, picture


def vectors(encoder, modality: Modality, samples: list) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """(N, 384) unit rows."""
    found = [embedding for part in samples for embedding in encoder.encode(modality, [part])]
    return torch.from_numpy(np.stack([embedding.vector for embedding in found]))


def as_sounds(pictures: torch.Tensor, encoder) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[no-untyped-def]
    """What a sound of the thing in a picture would be embedded as, and how near the next sound class is (cosine).

    Mixtures of the rows of the five nearest AudioSet classes, as the sound tower mixes them. No recording is used.
    """
    rows = F.normalize(encoder._tables["audio.rows"], dim=-1)
    similar, nearest = (pictures @ rows.T).topk(5, dim=-1)
    weights = (similar / 0.05).softmax(-1)
    return F.normalize((weights[..., None] * rows[nearest]).sum(1), dim=-1), similar[:, 0]


if __name__ == "__main__":
    main()
