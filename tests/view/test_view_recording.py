"""What recordings hold, also when the writer was killed; where they may not be written."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rerun", reason="needs the extra view")
from drawings import draw_everything, entities_of, wait_until

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImageSample, Modality
from imagebind_node.view import layout
from imagebind_node.view.drawer import Drawer
from imagebind_node.view.output import Output


def test_a_recording_holds_everything_that_was_drawn(tmp_path):
    output = Output()
    path = output.record(str(tmp_path / "new" / "all.rrd"), limit_mb=10)
    assert output.is_wanted
    draw_everything(output)
    output.close()
    entities = entities_of(path)
    for entity in (
        f"/{layout.CAMERA}/picture",
        f"/{layout.CAMERA}/heat",
        f"/{layout.CAMERA}/boxes",
        f"/{layout.DEPTH}/picture",
        f"/{layout.THERMAL}/picture",
        f"/{layout.SOUND}/spectrogram",
        f"/{layout.SOUND}/cues",
        f"/{layout.ACCELERATION}/x",
        f"/{layout.TURN_RATE}/z",
        f"/{layout.SIMILARITY}/vision/dog",
        f"/{layout.MAP}/recent",
        f"/{layout.QUERY}",
        f"/{layout.HEALTH}",
        f"/{layout.LATENCY}/encoder__vision",
        f"/{layout.DROPS}/encoder__vision",
    ):
        assert entity in entities, entity
    assert not any("similarity/audio" in entity for entity in entities)


def test_a_recording_is_never_overwritten_and_bad_places_are_named(tmp_path):
    output = Output()
    (tmp_path / "there.rrd").write_bytes(b"precious")
    with pytest.raises(InvalidInputError, match="exists: choose another name"):
        output.record(str(tmp_path / "there.rrd"), 1)
    with pytest.raises(InvalidInputError, match=r"must end in \.rrd"):
        output.record(str(tmp_path / "x.mcap"), 1)
    with pytest.raises(InvalidInputError, match="cannot write"):
        output.record("/proc/none/x.rrd", 1)
    assert (tmp_path / "there.rrd").read_bytes() == b"precious"
    named = output.record(str(tmp_path / "%Y.rrd"), 1)
    assert named.name == time.strftime("%Y.rrd")
    output.close()


def test_a_recording_ends_at_its_limit(tmp_path):
    output = Output()
    path = output.record(str(tmp_path / "a.rrd"), limit_mb=1)
    drawer = Drawer(output, lambda: 0, side=640, sound_seconds=1.0, map_capacity=3)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    for i in range(20):
        drawer.picture(ImageSample(noise, 1 + i))
    wait_until(lambda: output.file_bytes > 1_000_000, "a megabyte")
    assert output.end_full_file() == f"{path} has reached record_limit_mb"
    assert output.end_full_file() == "" and not output.is_wanted
    assert "/camera/picture" in entities_of(path)


def test_a_recording_ends_before_the_disk_is_full(tmp_path, monkeypatch):
    output = Output()
    path = output.record(str(tmp_path / "a.rrd"), limit_mb=1000)
    draw_everything(output)
    assert output.end_full_file() == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    assert output.end_full_file() == f"the disk of {path} is full"
    assert not output.is_wanted
    assert "/camera/picture" in entities_of(path)


def test_what_a_killed_process_recorded_can_be_opened(tmp_path):
    path = tmp_path / "cut.rrd"
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from drawings import draw_everything;"
        "from imagebind_node.view.output import Output; output = Output(); output.record(sys.argv[2], 10);"
        "draw_everything(output); time.sleep(600)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(path)])
    try:
        wait_until(
            lambda: path.exists() and "/latency/encoder__vision" in entities_of(path), "the last drawing"
        )
    finally:
        writer.kill()
        writer.wait()
    assert {"/camera/boxes", "/map/recent", "/latency/encoder__vision"} <= entities_of(path)


def test_labels_without_end_share_an_entity(tmp_path):
    output = Output()
    path = output.record(str(tmp_path / "labels.rrd"), 10)
    drawer = Drawer(output, lambda: 1, side=320, sound_seconds=1.0, map_capacity=3)
    space = Space("test", 4)
    vector = Embedding(np.eye(4)[0], Modality.VISION, space, 1)
    for i in range(200):
        drawer.query(f"label{i}", vector)
        drawer.embedding("vision", vector)
        drawer.query(f"label{i}", None)
    output.close()
    names = {e for e in entities_of(path) if e.startswith("/similarity/vision/")}
    assert "/similarity/vision/other" in names
    assert len(names) <= 65
