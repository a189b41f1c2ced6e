"""Depth, thermal, numpy and IMU files."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import one_line

from imagebind_node.errors import InvalidInputError
from imagebind_node.files import (
    read_depth,
    read_imu,
    read_thermal,
)
from imagebind_node.formats import arrays


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_depth_millimetres_and_metres(tmp_path):
    Image.fromarray(np.array([[0, 1500], [65535, 1]], np.uint16)).save(tmp_path / "d.png")
    data = read_depth(tmp_path / "d.png").data
    assert data.dtype == np.float32
    assert np.isnan(data[0, 0])
    np.testing.assert_allclose([data[0, 1], data[1, 0], data[1, 1]], [1.5, 65.535, 0.001], rtol=1e-6)
    np.save(tmp_path / "d.npy", np.array([[np.nan, 2.5]]))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.npy").data, np.array([[np.nan, 2.5]], np.float32))
    np.savez(
        tmp_path / "d.npz",
        depth=np.ones((2, 3), np.float16),
        focal_px=525.0,
        baseline_m=0.075,
        more=np.ones(3),
    )
    sample = read_depth(tmp_path / "d.npz")
    assert (sample.focal_px, sample.baseline_m, sample.data.shape) == (525.0, 0.075, (2, 3))


def test_thermal_values_stay_as_stored(tmp_path, rng):
    counts = rng.integers(29000, 31000, (4, 5), dtype=np.uint16)
    Image.fromarray(counts).save(tmp_path / "t.png")
    Image.fromarray(counts).save(tmp_path / "t.tiff")
    np.save(tmp_path / "t.npy", counts)
    for name in ("t.png", "t.tiff", "t.npy"):
        np.testing.assert_array_equal(read_thermal(tmp_path / name).data, counts)
    Image.fromarray(np.full((2, 2), 300.5, np.float32)).save(tmp_path / "k.tiff")
    assert read_thermal(tmp_path / "k.tiff").data[0, 0] == np.float32(300.5)
    Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / "grey_as_rgb.png")
    assert read_thermal(tmp_path / "grey_as_rgb.png").data.dtype == np.uint8


def test_wrong_pictures_for_depth_and_thermal(tmp_path):
    Image.new("L", (2, 2), 7).save(tmp_path / "eight.png")
    Image.new("RGB", (2, 2), (200, 30, 0)).save(tmp_path / "colour.png")
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    for reader, name, word in [
        (read_depth, "eight.png", "8-bit"),
        (read_depth, "colour.png", "colour"),
        (read_thermal, "colour.png", "false colour"),
        (read_depth, "two.npz", "'depth'"),
        (read_thermal, "two.npz", "'thermal'"),
    ]:
        with pytest.raises(InvalidInputError) as caught:
            reader(tmp_path / name)
        one_line(caught, name, word)


def test_numpy_files_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "p.npy").write_bytes(pickle.dumps(Bomb()))
    np.save(tmp_path / "o.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "z.npz", depth=np.array([Bomb()], dtype=object))
    for name in ("p.npy", "o.npy", "z.npz"):
        with pytest.raises(InvalidInputError) as caught:
            read_depth(tmp_path / name)
        one_line(caught, name)
    assert not (tmp_path / "ran").exists()


def test_numpy_bombs(tmp_path, monkeypatch):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
    )
    (tmp_path / "claims.npy").write_bytes(stream.getvalue())
    with pytest.raises(InvalidInputError) as caught:
        read_depth(tmp_path / "claims.npy")
    one_line(caught, "truncated")
    monkeypatch.setattr(arrays, "ARRAY_BYTES", 1 << 16)
    np.savez_compressed(tmp_path / "zip.npz", depth=np.zeros((300, 300)))
    assert (tmp_path / "zip.npz").stat().st_size < 1 << 16
    with pytest.raises(InvalidInputError) as caught:
        read_depth(tmp_path / "zip.npz")
    one_line(caught, "unpack")
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with pytest.raises(InvalidInputError) as caught:
        read_depth(tmp_path / "empty.npz")
    one_line(caught, "no arrays")


TABLE = np.column_stack([np.arange(4) / 100, np.arange(24).reshape(4, 6)]).astype(np.float64)


def test_imu_formats_agree(tmp_path):
    header = "gz,gy,gx,note,az,ay,ax,t"
    rows = "\n".join(",".join(str(v) for v in [*row[:3:-1], "", *row[3::-1]]) for row in TABLE)
    (tmp_path / "a.csv").write_text(f"{header}\n{rows}\n")
    np.save(tmp_path / "a.npy", TABLE)
    np.savez(tmp_path / "a.npz", data=TABLE[:, 1:], times=TABLE[:, 0])
    for name in ("a.csv", "a.npy", "a.npz"):
        sample = read_imu(tmp_path / name)
        np.testing.assert_array_equal(sample.data, TABLE[:, 1:].astype(np.float32))
        np.testing.assert_array_equal(sample.times, TABLE[:, 0])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("t,ax,ay\n1,2,3\n", "no column az, gx, gy, gz"),
        ("t,ax,ay,az,gx,gy,gz\n", "no measurements"),
        ("t,ax,ay,az,gx,gy,gz\n0,1,2,3,4,5,x\n", "not a readable IMU recording"),
        ("t,ax,ay,az,gx,gy,gz\n0,1,2,3,4,5\n", "not a readable IMU recording"),
        ("t,ax,ay,az,gx,gy,gz\n0,1,2,3,4,5,6\n", "at least 2"),
        ("t,ax,ay,az,gx,gy,gz\n1,1,2,3,4,5,6\n0,1,2,3,4,5,6\n", "increasing"),
        ("t,ax,ay,az,gx,gy,gz\n0,nan,2,3,4,5,6\n1,1,2,3,4,5,6\n", "NaN"),
        ("t,ax,ay,az,gx,gy,gz\n0,1e99,2,3,4,5,6\n1,1,2,3,4,5,6\n", "infinite"),
    ],
)
def test_bad_csv(tmp_path, text, word):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_imu(tmp_path / "a.csv")
    one_line(caught, "a.csv", word)


def test_imu_array_without_times_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", TABLE[:, 1:])
    with pytest.raises(InvalidInputError) as caught:
        read_imu(tmp_path / "a.npy")
    one_line(caught, "(4, 6)", "(N, 7)")
