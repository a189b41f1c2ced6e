"""The pictures that the demo leaves behind: what was heard, where it was looked for, what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imagebind_node.demo.record import Record
from imagebind_node.demo.verdict import NOTHING, CueResult, SceneResult, best_iou
from imagebind_node.drawing import (
    COLOURS,
    EXPECTED,
    LabelledBox,
    caption,
    draw_boxes,
    grid,
    overlay_heat,
    spectrogram,
    stacked,
)
from imagebind_node.files import read_audio, read_image

_CAPTION, _STRIP = 48, 96


def write_pictures(result: SceneResult, record: Record, scale: float, folder: Path) -> list[Path]:
    """One picture a cue and one of the whole scene; returns the paths, the whole scene's last."""
    photograph = read_image(result.scene.image).data
    name = result.scene.image.stem
    tiles, written = [], []
    for number, cue in enumerate(result.cues):
        tile = _tile(photograph, cue, record, scale, COLOURS[number % len(COLOURS)], result)
        written.append(_save(tile, folder / f"{name}_{cue.interval.cue.thing}.png"))
        tiles.append(tile)
    written.append(_save(grid(tiles, 2), folder / f"{name}.png"))
    return written


def _tile(
    photograph: np.ndarray,
    cue: CueResult,
    record: Record,
    scale: float,
    colour: tuple[int, int, int],
    result: SceneResult,
) -> np.ndarray:
    """Caption, spectrogram of the cue, picture with heat map, the right box dashed, the found box solid."""
    width = photograph.shape[1]
    answers = result.scene.things[cue.interval.cue.thing]
    found = None if cue.seen is None else cue.seen.boxes[0] * scale
    # Of several right boxes only the one that was meant: all of them would hide the picture.
    meant = answers[0] if found is None else max(answers, key=lambda answer: best_iou(found, [answer]))
    boxes = [LabelledBox(meant, colour=EXPECTED, dashed=True)]
    picture = photograph
    if cue.seen is not None and found is not None:
        heat = record.heat_of(cue.seen)
        picture = photograph if heat is None else overlay_heat(photograph, heat)
        text = f"{cue.seen.labels[0]} {cue.seen.scores[0]:.2f}"
        boxes.append(LabelledBox(found, text, colour))
    heard = f'heard "{cue.heard}"' if cue.heard != NOTHING else "heard nothing it knows"
    verdict = f"{'found' if cue.found else 'not found'}, IoU {cue.iou:.2f}"
    sound = read_audio(cue.interval.cue.sound)
    return stacked(
        [
            caption(width, _CAPTION, heard, f"confidence {cue.confidence:.2f}, {verdict}"),
            spectrogram(sound, width, _STRIP),
            draw_boxes(picture, boxes),
        ]
    )


def _save(picture: np.ndarray, path: Path) -> Path:
    Image.fromarray(picture).save(path, optimize=True)
    return path
