"""What the pages take for granted: pictures, sounds, recordings and small random models, by the names they use."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile

from imagebind_node.samples import DepthSample, ImuSample, ThermalSample

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"


def prepare(page: str, folder: Path) -> None:
    """Put into `folder` what page `page` (name without .md) uses."""
    yard(folder)
    {"binding_data": recordings, "bridge": models, "upgrade_clip": models, "detection": scripts}.get(
        page, lambda folder: None
    )(folder)


def yard(folder: Path) -> None:
    """A picture of the yard, its animals and their sounds; and this environment by the name .venv."""
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    shutil.copy(DEMO / "meadow.jpg", folder / "yard.jpg")
    grid = cv2.imread(str(DEMO / "side_by_side.jpg"))
    height, width = grid.shape[0] // 2, grid.shape[1] // 2
    cv2.imwrite(str(folder / "cat.jpg"), grid[:height, :width])
    cv2.imwrite(str(folder / "dog.jpg"), grid[height:, :width])
    sounds = folder / "sounds"
    sounds.mkdir()
    for name in ("cat", "cow", "dog", "horse", "sheep"):
        samples, rate = soundfile.read(DEMO / f"{name}.flac")
        soundfile.write(sounds / f"{name}.wav", samples, rate)
    shutil.copy(sounds / "dog.wav", folder / "bark.wav")
    shutil.copy(sounds / "cow.wav", folder / "moo.wav")
    shutil.copytree(sounds, folder / "recordings")


def models(folder: Path) -> None:
    """Random CLIP and OWL-ViT checkpoints in the library's own format, and bridges to them of few captions."""
    from imagebind_node import load_encoder
    from imagebind_node.bridge.captions import class_names, generated_captions
    from imagebind_node.bridge.fitting import fit_bridge
    from imagebind_node.bridge.targets import open_target, text_tower
    from imagebind_node.encoders.concept.weights import model_dir
    from tests.detection.owl_models import write_clip, write_detector

    write_clip(folder / "clip-vit-base-patch32")
    write_detector(folder / "owlvit-base-patch32", "owlvit")
    captions = generated_captions(class_names(model_dir("concept")), ("a photo of a {}",))[::6]
    encoder = load_encoder("concept", modalities=["text"])
    rows = text_tower(encoder)(captions)
    for kind, name in (("clip", "clip-vit-base-patch32"), ("owlvit", "owlvit-base-patch32")):
        space, encode = open_target(f"{kind}:{folder / name}")
        fit_bridge(captions, rows, encode(captions), encoder.space, space).save(
            folder / f"{kind}.safetensors"
        )


def four_senses() -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Samples of sound, depth, heat and motion; depth and heat are made of the grey values of a picture."""
    grey = cv2.imread(str(DEMO / "meadow.jpg"), cv2.IMREAD_GRAYSCALE)
    parts = np.array_split(grey, 4, axis=1)
    windows = np.load(ROOT / "tests" / "encoders" / "concept" / "hapt.npz")["data"][::4]
    times = np.arange(windows.shape[2]) / 50.0
    return (
        [DEMO / f"{name}.flac" for name in ("cat", "cow", "dog")],
        [DepthSample((255 / (part + 20.0)).astype(np.float32)) for part in parts],
        [ThermalSample((29000 + 8.0 * part).astype(np.uint16)) for part in parts],
        [ImuSample(window.T.astype(np.float32), times) for window in windows],
    )


def recordings(folder: Path) -> None:
    """Recordings of three days and of nine drives, and a walk as folders of pictures."""
    from tests.binding import drives

    days = ["monday", "tuesday", "friday", *(f"drives/{i}" for i in range(7, 10))]
    for i, day in enumerate(days):
        (folder / day).parent.mkdir(exist_ok=True)
        drives.write(folder / day, start=drives.START + i * drives.HOUR, count=40)
    for stream, kind in (("rgb", np.uint8), ("depth", np.uint16)):
        (folder / "walk" / stream).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((24, 32, 3) if stream == "rgb" else (24, 32), 50 * (i + 1), kind)
            cv2.imwrite(str(folder / "walk" / stream / f"13050311{i:02}.500000.png"), pixels)


def scripts(folder: Path) -> None:
    """The scripts of the repository, and pictures of the place where the robot works."""
    (folder / "scripts").symlink_to(ROOT / "scripts")
    (folder / "FOLDER").mkdir()
    for name in ("hillside.jpg", "meadow.jpg", "side_by_side.jpg"):
        picture = cv2.imread(str(DEMO / name))
        for row, band in enumerate(np.array_split(picture, 2)):
            for column, tile in enumerate(np.array_split(band, 3, axis=1)):
                cv2.imwrite(str(folder / "FOLDER" / f"{row}{column}{name}"), tile)
