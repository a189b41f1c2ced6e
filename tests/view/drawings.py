"""One of everything that the view can draw, and what a recording holds."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Embedding, Space
from imagebind_node.samples import AudioSample, DepthSample, ImageSample, Modality, ThermalSample
from imagebind_node.view.drawer import Drawer
from imagebind_node.view.found import Found
from imagebind_node.view.health import PartHealth
from imagebind_node.view.output import Output
from imagebind_node.view.server import rerun_program

PATIENCE = 60.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition()` is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.05)


def entities_of(path: Path) -> set[str]:
    """What Rerun's own program finds in a recording."""
    done = subprocess.run(
        [rerun_program(), "rrd", "print", path], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return set(re.findall(r"/[A-Za-z0-9_/]+", done.stdout))


def draw_everything(output: Output) -> None:
    """One of each into `output`."""
    drawer = Drawer(output, lambda: 10**18, side=320, sound_seconds=2.0, map_capacity=10)
    stamp = 10**18
    drawer.boxes(stamp, [Found((0, 0, 9, 9), "before any picture", 1.0)])
    drawer.picture(ImageSample(np.zeros((480, 640, 3), np.uint8), stamp))
    drawer.heat(stamp, np.random.default_rng(0).normal(size=(480, 640)))
    drawer.boxes(stamp, [Found((10, 20, 110, 220), "dog", 0.97, "1")])
    drawer.depth(DepthSample(np.full((48, 64), 1.5, np.float32), stamp=stamp))
    drawer.thermal(ThermalSample(np.full((48, 64), np.nan, np.float32), stamp=stamp))
    drawer.sound([AudioSample(np.zeros(1600, np.float32), 16000, stamp)])
    drawer.motion(np.array([stamp, stamp + 1000]), np.ones((2, 6)))
    space = Space("test", 4)
    vectors = [Embedding(row, Modality.VISION, space, stamp) for row in np.eye(4, dtype=np.float32)]
    drawer.query("dog", vectors[0])
    for vector in vectors:
        drawer.embedding("vision", vector)
    drawer.map()
    drawer.embedding("audio", Embedding(np.zeros(0), Modality.AUDIO, space, stamp, abstained=True))
    drawer.embedding("audio", Embedding(np.eye(8)[0], Modality.AUDIO, Space("other", 8), stamp))
    drawer.query("dog", None)
    drawer.health([PartHealth("encoder: vision", "ok", "encoding", 12.0, 3.0)])
