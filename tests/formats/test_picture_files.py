"""Picture files of every mode, size and state of damage."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from refusals import one_line

from imagebind_node.errors import InvalidInputError
from imagebind_node.files import (
    read_image,
)
from imagebind_node.formats import pictures


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_png_comes_back_as_it_was(tmp_path, rng):
    data = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(data).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, data)


@pytest.mark.parametrize("side", [(1, 1), (1, 10000), (10000, 1)])
def test_thin_pictures_work(tmp_path, side):
    Image.new("RGB", side, (9, 8, 7)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").data.shape == (side[1], side[0], 3)


def test_transparency_is_composited_over_white(tmp_path):
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png").data == 255).all()
    Image.new("RGBA", (2, 2), (200, 0, 0, 128)).save(tmp_path / "half.png")
    red, green, _ = read_image(tmp_path / "half.png").data[0, 0]
    assert abs(int(red) - 227) <= 1
    assert abs(int(green) - 127) <= 1
    palette = Image.new("P", (2, 2), 3)
    palette.putpalette([0, 0, 0] * 3 + [10, 20, 30])
    palette.save(tmp_path / "p.png")
    assert tuple(read_image(tmp_path / "p.png").data[0, 0]) == (10, 20, 30)
    palette.save(tmp_path / "pt.gif", transparency=3)
    assert (read_image(tmp_path / "pt.gif").data == 255).all()


def test_grey_sixteen_bit_and_cmyk(tmp_path):
    Image.new("L", (2, 2), 77).save(tmp_path / "l.png")
    assert (read_image(tmp_path / "l.png").data == 77).all()
    Image.fromarray(np.array([[0, 65535, 32896]], np.uint16)).save(tmp_path / "i16.png")
    assert read_image(tmp_path / "i16.png").data[0, :, 0].tolist() == [0, 255, 128]
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=100)
    red, green, blue = read_image(tmp_path / "c.jpg").data[0, 0]
    assert red > 200
    assert max(green, blue) < 40


def test_exif_orientation_turns_the_picture_upright(tmp_path):
    picture = Image.new("RGB", (8, 16), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").data.shape == (8, 16, 3)


def test_float_tiff_is_no_picture(tmp_path):
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(InvalidInputError) as caught:
        read_image(tmp_path / "f.tiff")
    one_line(caught, "f.tiff", "depth:")


def test_bomb_is_refused_before_decoding(tmp_path):
    # A few kilobytes of PNG that would unpack to 20000 x 20000 pixels.
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(InvalidInputError) as caught:
        read_image(tmp_path / "bomb.png")
    one_line(caught, "bomb.png", "pixels")


def test_picture_limit_counts_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 99)
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError) as caught:
        read_image(tmp_path / "a.png")
    one_line(caught, "10x10", "limit 99")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp", "gif"])
def test_truncated_pictures(tmp_path, rng, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InvalidInputError) as caught:
        read_image(path)
    one_line(caught, path.name, "not a readable picture")
