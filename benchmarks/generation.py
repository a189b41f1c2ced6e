"""How well the decoder of `concept` shows what was heard: by a judge that did not guide it, and its time.

    imagebind-node evaluate generation DATA --out PICTURES          draws them, and reports the round trip
    python benchmarks/generation.py judge DATA PICTURES             what NanoDet (COCO) takes them for
    python benchmarks/generation.py time                            four pictures, from the embedding on

The round trip looks at a picture with the network whose gradient drew it. NanoDet did not: it was trained on other
pictures (COCO), for other classes, and has no part in the drawing. Of each picture its likeliest class among those
below counts, wherever it is in the picture; entries whose thing COCO does not have are left out. Beside the drawn
pictures stand the true ones of DATA, at 64 pixels as well, and chance: the same pictures dealt to other entries.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from imagebind_node import Modality, load_encoder
from imagebind_node.detection.proposals import ProposalNetwork
from imagebind_node.encoders.concept.weights import model_dir
from imagebind_node.evaluation.listing import read_list
from imagebind_node.evaluation.statistics import bootstrap
from imagebind_node.files import read_image
from imagebind_node.generation import load_generator

# COCO class: texts of DATA (Tux Paint's stamps) that are one.
COCO = {
    "bird": "blackbird, crow, cuckoo, drake, duck, gander, brown hen, great blue heron, lark, rhea, owl, penguin, "
    "quetzal, colorful rooster, seagull, toucan, turkey, vulture",
    "cat": "black cat",
    "dog": "dog",
    "horse": "horse, donkey",
    "sheep": "sheep, baby sheep, ram, goat, mountaingoat",
    "cow": "cow, bull, bison",
    "elephant": "elephant",
    "bear": "bear",
    "zebra": "zebra",
    "giraffe": "giraffe",
    "truck": "fire truck",
    "bottle": "bottle",
    "scissors": "pair of closed scissors, pair of open scissors",
}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True)
    judge = actions.add_parser("judge")
    judge.add_argument("data", type=Path)
    judge.add_argument("pictures", type=Path)
    judge.set_defaults(act=lambda args: judged(args.data / "pairs.json", args.pictures))
    clock = actions.add_parser("time")
    clock.add_argument("--repeats", type=int, default=5)
    clock.set_defaults(act=lambda args: timed(args.repeats))
    args = parser.parse_args()
    print(json.dumps(args.act(args), indent=1))


def judged(pairs: Path, folder: Path) -> dict[str, object]:
    """Share of pictures that NanoDet takes for the right class, with a 95 % bootstrap interval over entries."""
    entries = read_list(pairs, {"text": str, "image": str})
    names = json.loads((model_dir() / "classes.json").read_text())["coco"]
    wanted = list(COCO)
    of_text = {text: index for index, line in enumerate(COCO.values()) for text in line.split(", ")}
    kept = [
        i
        for i, entry in enumerate(entries)
        if entry["text"] in of_text and list(folder.glob(f"{i:03d}_*.png"))
    ]
    right = np.array([of_text[entries[i]["text"]] for i in kept])
    network = ProposalNetwork(model_dir(), threshold=0.0001)
    columns = [names.index(name) for name in wanted]

    def taken_for(pixels: np.ndarray) -> int:
        classes = network(pixels).classes[:, columns]
        return int(classes.max(0).argmax()) if len(classes) else -1

    drawn = [[taken_for(read_image(p).data) for p in sorted(folder.glob(f"{i:03d}_*.png"))] for i in kept]
    true = [[taken_for(small(read_image(pairs.parent / entries[i]["image"]).data))] for i in kept]
    return {
        "entries": len(kept),
        "classes": wanted,
        "drawn": share(drawn, right),
        "true pictures at 64 pixels": share(true, right),
    }


def small(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> the whole picture on a white square of 64 pixels."""
    side = max(pixels.shape[:2])
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - pixels.shape[0]) // 2, (side - pixels.shape[1]) // 2
    square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA)


def share(taken: list[list[int]], right: np.ndarray) -> dict[str, object]:
    """Mean over entries of the share of their pictures that are right; chance: of the pictures of all entries.

    `mean_over_classes` counts every class the same: 18 of the entries are birds.
    """
    each = np.array([np.mean([one == r for one in some]) for some, r in zip(taken, right)])
    dealt = np.array([np.mean([np.mean([one == r for one in some]) for some in taken]) for r in right])
    low, high = bootstrap(lambda index: float(each[index].mean()), len(each))
    # An entry's gain over its chance: resampled together, for they come from the same pictures.
    gain_low, gain_high = bootstrap(lambda index: float((each - dealt)[index].mean()), len(each))
    classes = np.unique(right)
    return {
        "right": float(each.mean()),
        "ci95": [low, high],
        "chance": float(dealt.mean()),
        "gain_ci95": [gain_low, gain_high],
        "mean_over_classes": float(np.mean([each[right == c].mean() for c in classes])),
        "chance_over_classes": float(np.mean([dealt[right == c].mean() for c in classes])),
    }


def timed(repeats: int) -> dict[str, object]:
    """Seconds for four pictures, and for loading."""
    start = time.perf_counter()
    encoder = load_encoder("concept", modalities=["text"])
    generator = load_generator(encoder)
    loading = time.perf_counter() - start
    (dog,) = encoder.encode(Modality.TEXT, ["a dog"])
    spent = []
    for repeat in range(repeats):
        start = time.perf_counter()
        generator.generate(dog, count=4, seed=1 + repeat)
        spent.append(time.perf_counter() - start)
    return {"loading_s": loading, "four_pictures_s": {"median": statistics.median(spent), "most": max(spent)}}


if __name__ == "__main__":
    main()
