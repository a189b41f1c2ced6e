"""Small files of every kind that commands read, and ways to damage them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

# Read once, by the first video of the process: ours here is written before the program under test reads one.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
import soundfile
from hypothesis import strategies as st
from PIL import Image

TESTS = Path(__file__).resolve().parents[1]
WEIGHTS = TESTS / "data" / "imagebind"
sys.path.insert(0, str(TESTS / "sensors"))

# Pieces that formats give a meaning to: counts that are too large, markers, numbers that are none.
PIECES = [
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f\xff\xff\xff",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[",
    b"{",
    b'"',
    b"../../",
]


def make_files(folder: Path) -> None:
    """One good file of every kind, in `folder`."""
    pixels = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "a.jpg")
    soundfile.write(folder / "a.wav", np.sin(np.arange(16000) / 9), 16000)
    soundfile.write(folder / "a.flac", np.sin(np.arange(16000) / 9), 16000)
    video = cv2.VideoWriter(str(folder / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (48, 32))
    for shift in range(4):
        video.write(np.roll(pixels, shift, 1))
    video.release()
    np.save(folder / "depth.npy", np.full((8, 8), 2.0, np.float32))
    np.savez(folder / "depth.npz", depth=np.full((8, 8), 2.0, np.float32), focal_px=500.0)
    rows = "".join(f"{i / 50},0,0,9.8,0,0,0\n" for i in range(200))
    (folder / "imu.csv").write_text("t,ax,ay,az,gx,gy,gz\n" + rows)
    (folder / "words.txt").write_text("a dog\na cow\n")
    (folder / "classes.yaml").write_text(
        "name: two\nclasses: {dog: [dog, hound], cow: cow}\ntemperature: 0.1\n"
    )
    vector = [1.0] + [0.0] * 383
    entry = {
        "modality": "text",
        "space": "x",
        "dim": 384,
        "window": 0.0,
        "confidence": 1.0,
        "abstained": False,
    }
    (folder / "vector.json").write_text(json.dumps({"embeddings": [{**entry, "vector": vector}]}))
    things = [{"text": word, "image": "a.png", "sound": "a.wav"} for word in ("dog", "cow")]
    (folder / "pairs.json").write_text(json.dumps(things))
    scenes = [{"image": "a.jpg", "sound": "a.wav", "label": "dog", "box": [1, 2, 30, 20]}]
    (folder / "scenes.json").write_text(json.dumps(scenes))
    for name in ("reference_small.safetensors", "reference_small.json", "reference_small_inputs.npz"):
        shutil.copy(WEIGHTS / name, folder / name)


def make_bags(folder: Path) -> None:
    """Two recordings of all senses, `mcap` and `sqlite3`."""
    from recorded_bag import write

    for storage in ("mcap", "sqlite3"):
        write(folder / storage, storage)


@st.composite
def damage(draw, content: bytes) -> bytes:
    """`content` with bytes replaced, pieces put in, and cut; sometimes something else altogether."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=64))
    data = bytearray(content)
    for _ in range(draw(st.integers(0, 8))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from(PIECES))
        data[at : at + draw(st.sampled_from([0, len(piece)]))] = piece
    if draw(st.integers(0, 3)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return bytes(data)


def exchanged(document: object, draw) -> object:
    """A JSON document with one of its values, at any depth, replaced by something else."""
    strange = [
        None,
        True,
        -1,
        1e308,
        float("nan"),
        "",
        "a" * 300,
        "../../etc/passwd",
        [],
        {},
        [[]],
        "\ud800",
        10**400,
    ]
    if isinstance(document, (dict, list)) and document and draw(st.integers(0, 5)):
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = draw(st.sampled_from(keys))
        copy = document.copy()
        if isinstance(copy, dict) and draw(st.integers(0, 7)) == 0:
            del copy[key]
        else:
            copy[key] = exchanged(document[key], draw)
        return copy
    return draw(st.sampled_from(strange))
