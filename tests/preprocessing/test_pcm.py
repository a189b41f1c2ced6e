"""Samples of every width as floats."""

import numpy as np
import pytest

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.pcm import decode_pcm

WAVE = np.array([-1.0, -0.5, 0.0, 0.25, 0.75])


def packed(width, unsigned=False, big=False):
    """WAVE as integers of so many bytes."""
    half = 2 ** (8 * width - 1)
    values = (WAVE * half).astype(int) + (half if unsigned else 0)
    return b"".join(int(v).to_bytes(width, "big" if big else "little", signed=not unsigned) for v in values)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("big", [False, True])
def test_signed_integers(width, big):
    name = f"S{8 * width}" + ("" if width == 1 else "BE" if big else "LE")
    np.testing.assert_array_equal(decode_pcm(packed(width, big=big), name), WAVE.astype(np.float32))


@pytest.mark.parametrize(("name", "width"), [("U8", 1), ("U16LE", 2), ("u16le", 2), ("U32LE", 4)])
def test_unsigned_integers(name, width):
    np.testing.assert_array_equal(decode_pcm(packed(width, unsigned=True), name), WAVE.astype(np.float32))


def test_24_bits_in_32():
    values = (WAVE * 2**23).astype("<i4").tobytes()
    np.testing.assert_array_equal(decode_pcm(values, "S24_32LE"), WAVE.astype(np.float32))


@pytest.mark.parametrize(("name", "dtype"), [("F32LE", "<f4"), ("F32BE", ">f4"), ("F64LE", "<f8")])
def test_floats(name, dtype):
    got = decode_pcm(WAVE.astype(dtype).tobytes(), name)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, WAVE.astype(np.float32))


@pytest.mark.parametrize(
    "name", ["", "mp3", "S16", "S8LE", "F16LE", "F8", "U64LE", "S24_32", "U16_32LE", "S16LE "[:4]]
)
def test_other_formats_are_refused_by_name(name):
    with pytest.raises(InvalidInputError, match="is not known: use one of S8"):
        decode_pcm(b"", name)


def test_half_a_sample_is_refused():
    with pytest.raises(InvalidInputError, match="5 bytes are no whole number"):
        decode_pcm(bytes(5), "S16LE")
