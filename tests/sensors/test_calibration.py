"""Calibration files as camera_calibration writes them, and damaged ones."""

from __future__ import annotations

import pytest

from imagebind_node.errors import InvalidInputError
from imagebind_node.sensors.calibration import read_calibration

FILE = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix: {rows: 3, cols: 3, data: [615.5, 0.0, 321.25, 0.0, 616.5, 238.75, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.25, 0.001, 0.002, 0.0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [620.5, 0, 322.0, 0, 0, 622.5, 237.0, 0, 0, 0, 1, 0]}
"""


def test_every_entry_arrives(tmp_path):
    path = tmp_path / "camera.yaml"
    path.write_text(FILE)
    camera = read_calibration(path)
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (615.5, 616.5, 321.25, 238.75)
    assert camera.distortion == (0.1, -0.25, 0.001, 0.002, 0.0)
    assert camera.projection[:7] == (620.5, 0, 322.0, 0, 0, 622.5, 237.0)
    assert camera.rectification == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("image_width: 640", "image_width: wide", "image_width"),
        ("image_width: 640", "image_width: 0", "image_width"),
        ("615.5, ", "", "camera_matrix"),
        ("615.5, ", ".nan, ", "camera_matrix"),
        ("615.5, ", "-615.5, ", "focal lengths"),
        ("[0.1, -0.25, 0.001, 0.002, 0.0]", "none", "distortion_coefficients"),
        ("projection_matrix", "projection", "projection_matrix"),
        (FILE, "", "no calibration file"),
        (FILE, "a: [", "cannot read"),
        (FILE, "!!python/object/apply:os.system ['true']", "cannot read"),
    ],
)
def test_a_damaged_file_is_one_clear_error(tmp_path, old, new, named):
    path = tmp_path / "camera.yaml"
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(InvalidInputError, match=named) as caught:
        read_calibration(path)
    assert "camera.yaml" in str(caught.value)


def test_no_file_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"gone\.yaml"):
        read_calibration(tmp_path / "gone.yaml")
