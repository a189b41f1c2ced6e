"""Pictures of what a query says: a sound, words, a picture, or a sum of them.

examples:
  imagebind-node generate bark.wav --out pictures --count 4
  imagebind-node generate 'image:crane.jpg + audio:waves.wav' --model imagebind_huge --out pictures --seed 7
  imagebind-node generate text:dog --interpolate text:horse --count 6 --out strip

`concept` draws clip-art-like pictures of 64 pixels with its own small decoder. `imagebind_huge` conditions Stable
unCLIP, which you have to fetch: imagebind-node models pull stable_unclip --accept-licence.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import add_model_arguments, load_model, positive_float
from imagebind_node.cli.output import print_json
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.generation import Picture

STRIP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help="file, MODALITY:PATH, text:WORDS or a sum of them")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the pictures (PNG)"
    )
    parser.add_argument("--count", type=int, metavar="N", help="pictures (default: 1, of a strip 5)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same pictures (default: a random one)"
    )
    parser.add_argument("--steps", type=int, default=0, help="of the sampler (default: the model's own)")
    parser.add_argument("--negative", default="", metavar="WORDS", help="what the pictures should not show")
    parser.add_argument(
        "--interpolate",
        metavar="QUERY",
        help="a strip of pictures on the way from the first query to this one",
    )
    parser.add_argument(
        "--spherical", action="store_true", help="combine terms along the unit sphere instead of by their sum"
    )
    group = parser.add_argument_group("generator")
    group.add_argument(
        "--guidance", type=float, metavar="G", help="how strongly the query is followed, 1 to 100"
    )
    group.add_argument(
        "--judge",
        type=float,
        metavar="J",
        help="concept: pull of what the image tower sees, 0 to 10 (0: none)",
    )
    group.add_argument(
        "--noise-level",
        type=int,
        metavar="L",
        help="imagebind_huge: 0 to 999, how much is left open (default: 0)",
    )
    group.add_argument(
        "--norm", type=positive_float, help="imagebind_huge: length of the embeddings (default: measured)"
    )
    group.add_argument(
        "--unclip", type=Path, metavar="DIR", help="imagebind_huge: a Stable unCLIP in diffusers layout"
    )
    group.add_argument(
        "--memory",
        choices=("full", "slicing", "offload", "sequential"),
        help="imagebind_huge: how it is saved",
    )
    group.add_argument(
        "--no-safety-checker", action="store_true", help="imagebind_huge: show pictures whatever is in them"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.generation.options import require_options
    from imagebind_node.query import parse_query

    queries = [parse_query(text) for text in (args.query, args.interpolate) if text is not None]
    model = "imagebind_huge" if args.config is not None else args.model
    require_options(model, _asked(args))
    if args.out.exists() and not args.out.is_dir():
        raise InvalidInputError(f"--out {args.out} is no folder")
    count = args.count if args.count is not None else 1 if args.interpolate is None else STRIP
    wanted = frozenset[Modality]().union(*(query.modalities for query in queries))
    if args.negative and model == "concept":
        wanted |= {Modality.TEXT}
    encoder = load_model(args, wanted)
    embeddings = [query.embed(encoder, spherical=args.spherical) for query in queries]

    from imagebind_node.generation import interpolate, load_generator
    from imagebind_node.generation.options import backend_options

    placed = {"device": args.device, "precision": args.precision}
    generator = load_generator(encoder, **backend_options(model, **placed, **_asked(args)))
    from tqdm import tqdm

    with tqdm(unit="step", disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(step: int, steps: int) -> None:
            bar.total = steps
            bar.update(step - bar.n)

        chosen: dict[str, Any] = {
            "seed": args.seed,
            "steps": args.steps,
            "negative": args.negative,
            "progress": show,
        }
        if args.interpolate is None:
            pictures = generator.generate(embeddings[0], count=count, **chosen)
        else:
            pictures = generator.generate_strip(interpolate(embeddings[0], embeddings[1], count), **chosen)
    files = _write(args, pictures, generator.name)
    strip = _write_strip(args, pictures) if args.interpolate is not None else None
    if args.json:
        print_json(
            "generate",
            model=encoder.name,
            generator=generator.name,
            query=args.query,
            interpolate=args.interpolate,
            pictures=[
                {"file": str(file), "seed": picture.seed, "withheld": picture.withheld}
                for file, picture in zip(files, pictures)
            ],
            strip=strip and str(strip),
        )
        return 0
    for file, picture in zip(files, pictures):
        print(f"{file}  seed {picture.seed}{'  withheld by the safety checker' if picture.withheld else ''}")
    if strip is not None:
        print(strip)
    return 0


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """Options of generators that were given."""
    return {
        "guidance": args.guidance,
        "judge": args.judge,
        "noise_level": args.noise_level,
        "norm": args.norm,
        "folder": args.unclip,
        "memory": args.memory,
        "safety": False if args.no_safety_checker else None,
    }


def _write(args: argparse.Namespace, pictures: list[Picture], generator: str) -> list[Path]:
    """One PNG a picture, which says that it was generated, by what and from what."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    source = f"generated from {args.query}"
    if args.interpolate is not None:
        source += f" to {args.interpolate}"
    files = []
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            origin = PngInfo()
            origin.add_text("Software", f"imagebind-node generate, {generator}")
            origin.add_itxt("Source", source)
            origin.add_text("Seed", str(picture.seed))
            files.append(args.out / f"{index:02d}.png")
            Image.fromarray(picture.pixels).save(files[-1], pnginfo=origin)
    except OSError as error:
        raise InvalidInputError(f"cannot write to {args.out}: {error.strerror or error}") from None
    return files


def _write_strip(args: argparse.Namespace, pictures: list[Picture]) -> Path:
    from PIL import Image

    from imagebind_node.drawing import grid

    path: Path = args.out / "strip.png"
    try:
        Image.fromarray(grid([picture.pixels for picture in pictures], len(pictures), gap=4)).save(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from None
    return path
