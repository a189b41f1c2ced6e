"""Make the null regions that calibrate a detector's scores, from pictures without labels.

python scripts/make_null_regions.py --pictures FOLDER --source "what the pictures are" --out models/concept/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imagebind_node.detection.null_regions import FILE, collect_null_regions, save_null_regions
from imagebind_node.detection.registry import default_detector, load_detector
from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import ImagebindNodeError
from imagebind_node.files import read_image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="concept")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--detector", help="default: the one that goes with the model")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of .jpg and .png")
    parser.add_argument("--source", required=True, help="one line that says what the pictures are")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True, help="folder or file")
    args = parser.parse_args()
    encoder = load_encoder(args.model, checkpoint=args.checkpoint, modalities=["vision"])
    name = args.detector or default_detector(args.model)
    detector = load_detector(name, encoder, null_regions=None)
    paths = sorted(p for p in args.pictures.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    rows = collect_null_regions(detector, (read_image(path) for path in paths), args.count)
    out = args.out / FILE if args.out.is_dir() else args.out
    save_null_regions(out, rows, name, detector.space, args.source)
    print(f"{out}: {len(rows)} regions of {len(paths)} pictures for {name} in {detector.space.id}")


if __name__ == "__main__":
    try:
        main()
    except (ImagebindNodeError, OSError) as error:
        sys.exit(f"make_null_regions: error: {error}")
