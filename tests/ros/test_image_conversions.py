"""Image messages to samples and back, every encoding and every way to be wrong."""

import array
import io
import sys

import numpy as np
import pytest
from messages import compressed, image
from PIL import Image as PILImage
from sensor_msgs.msg import CameraInfo

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.image_conversions import image_message, picture_sample, pixels
from imagebind_node.samples import Modality

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
ALPHA = np.full((5, 7, 1), 128, np.uint8)
COUNTS = RNG.integers(0, 65536, (5, 7), np.uint16)
METRES = RNG.uniform(0.2, 9.0, (5, 7)).astype(np.float32)


def encoded(pixels_, form, **options):
    buffer = io.BytesIO()
    PILImage.fromarray(pixels_).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("padding", [0, 1, 13])
@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1], RGB),
        ("8UC3", RGB[..., ::-1], RGB),
        ("rgba8", np.concatenate([RGB, ALPHA], 2), RGB),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB),
        ("mono8", GREY, np.repeat(GREY[..., None], 3, 2)),
    ],
)
def test_colour(encoding, data, expected, padding):
    sample = picture_sample(image(data, encoding, padding), Modality.VISION)
    np.testing.assert_array_equal(sample.data, expected)
    assert sample.frame_id == "eye"
    assert sample.stamp > 1e18


@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("encoding", "data"), [("mono16", COUNTS), ("16UC1", COUNTS), ("32FC1", METRES)])
def test_wide_pixels_in_either_byte_order(encoding, data, big, padding):
    stored = data.astype(data.dtype.newbyteorder(">" if big else "<"))
    got = picture_sample(image(stored, encoding, padding, is_bigendian=int(big)), Modality.THERMAL).data
    np.testing.assert_array_equal(got, data)
    assert got.dtype == data.dtype


def test_depth_in_millimetres_and_metres():
    millimetres = np.array([[0, 1000, 65535]], np.uint16)
    got = picture_sample(image(millimetres, "16UC1"), Modality.DEPTH).data
    np.testing.assert_allclose(got, [[np.nan, 1.0, 65.535]], rtol=1e-6)
    np.testing.assert_array_equal(picture_sample(image(METRES, "32FC1"), Modality.DEPTH).data, METRES)


def test_stereo_parameters_of_camera_info():
    info = CameraInfo()
    info.k[0], info.p[0], info.p[3] = 600.0, 600.0, -30.0
    sample = picture_sample(image(METRES, "32FC1"), Modality.DEPTH, info)
    assert (sample.focal_px, sample.baseline_m) == (600.0, pytest.approx(0.05))
    bare = picture_sample(image(METRES, "32FC1"), Modality.DEPTH, CameraInfo())
    assert (bare.focal_px, bare.baseline_m) == (None, None)


def test_rgb_is_a_view_of_the_message():
    message = image(RGB)
    sample = picture_sample(message, Modality.VISION)
    assert np.shares_memory(sample.data, np.frombuffer(message.data, np.uint8))


def test_last_row_may_lack_its_padding():
    message = image(RGB, "rgb8", padding=8)
    message.data = message.data[:-8]
    np.testing.assert_array_equal(pixels(message), RGB)


@pytest.mark.parametrize(
    ("message", "modality", "complaint"),
    [
        (image(RGB, "yuv422"), Modality.VISION, "'yuv422' is not supported"),
        (image(RGB, ""), Modality.VISION, "'' is not supported"),
        (image(COUNTS, "16UC1"), Modality.VISION, "'16UC1' is not a vision picture"),
        (image(RGB, "rgb8"), Modality.DEPTH, "'rgb8' is not a depth picture"),
        (image(RGB, "bgr8"), Modality.THERMAL, "'bgr8' is not a thermal picture"),
        (image(RGB, "rgb8", width=0), Modality.VISION, "empty"),
        (image(RGB, "rgb8", height=0), Modality.VISION, "empty"),
        (image(RGB, "rgb8", width=100_000, step=300_000), Modality.VISION, "larger than"),
        (image(RGB, "rgb8", step=20), Modality.VISION, "step is 20 bytes, but 7 pixels of rgb8 take 21"),
        (image(RGB, "rgb8", step=0), Modality.VISION, "step is 0 bytes"),
        (image(RGB, "rgb8", height=6), Modality.VISION, "data holds 105 bytes"),
        (image(RGB, "rgb8", height=4), Modality.VISION, "data holds 105 bytes"),
        (image(RGB, "rgb8", data=array.array("B")), Modality.VISION, "data holds 0 bytes"),
        (image(COUNTS, "rgb8"), Modality.VISION, "step is 14 bytes"),
        (compressed(b""), Modality.VISION, "0 bytes) is not a whole"),
        (compressed(b"no picture"), Modality.VISION, "not a whole JPEG or PNG"),
        (compressed(encoded(RGB, "JPEG")[:-40]), Modality.VISION, "not a whole JPEG or PNG"),
        (compressed(encoded(RGB, "PNG")[:40], "png"), Modality.VISION, "not a whole JPEG or PNG"),
        (compressed(encoded(RGB, "BMP"), "bmp"), Modality.VISION, "not a whole JPEG or PNG"),
        (compressed(b"\0" * 90, "16UC1; compressedDepth"), Modality.DEPTH, "raw depth topic"),
        (compressed(encoded(RGB, "PNG"), "png"), Modality.DEPTH, "publish one channel"),
        (compressed(encoded(GREY, "PNG"), "png"), Modality.DEPTH, "publish 16-bit PNG"),
    ],
)
def test_refused_with_one_line(message, modality, complaint):
    with pytest.raises(InvalidInputError) as error:
        picture_sample(message, modality)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_compressed_claiming_huge_size_is_refused_before_decoding():
    png = bytearray(encoded(GREY, "PNG"))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(InvalidInputError):
        picture_sample(compressed(bytes(png), "png"), Modality.VISION)


def test_compressed_pictures():
    smooth = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    colour = np.stack([smooth, smooth[::-1], 255 - smooth], 2)
    got = picture_sample(compressed(encoded(colour, "JPEG", quality=95, subsampling=0)), Modality.VISION).data
    assert np.abs(got.astype(int) - colour).mean() < 3
    png = compressed(encoded(colour, "PNG"), "rgb8; png compressed bgr8")
    np.testing.assert_array_equal(picture_sample(png, Modality.VISION).data, colour)
    wide = compressed(encoded(COUNTS, "PNG"), "16UC1; png compressed")
    np.testing.assert_array_equal(picture_sample(wide, Modality.THERMAL).data, COUNTS)


def test_ten_thousand_pixels_a_side_and_a_single_one():
    large = np.zeros((10_000, 10_000), np.uint8)
    large[-1, -1] = 9
    assert pixels(image_message(large, "mono8", 0, ""))[-1, -1] == 9
    assert picture_sample(image(RGB[:1, :1]), Modality.VISION).data.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("data", "encoding"), [(RGB, "rgb8"), (GREY, "mono8"), (COUNTS, "16UC1"), (METRES, "32FC1")]
)
def test_round_trip(data, encoding):
    message = image_message(data, encoding, 1_234_567_890_123_456_789, "eye")
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_234_567_890, 123_456_789)
    assert message.is_bigendian == (sys.byteorder == "big")
    np.testing.assert_array_equal(pixels(message), data)
    np.testing.assert_array_equal(pixels(image_message(data[:, ::-1], encoding, 0, "")), data[:, ::-1])


def test_wrong_array_for_encoding_is_refused():
    with pytest.raises(InvalidInputError, match="is not rgb8"):
        image_message(GREY, "rgb8", 0, "")
