"""Linear PCM of any width as floats; no torch."""

from __future__ import annotations

import re

import numpy as np

from imagebind_node.errors import InvalidInputError

_NAME = re.compile(r"(?P<kind>[SUF])(?P<bits>8|16|24|32|64)(?:_(?P<room>32))?(?P<order>LE|BE)?")
FORMATS = "S8, U8, S16LE, U16LE, S24LE, S24_32LE, S32LE, F32LE, F64LE, the same with BE"


def decode_pcm(data: bytes, sample_format: str) -> np.ndarray:
    """Bytes of samples -> float32 (N,), full scale [-1, 1].

    sample_format: as GStreamer names it (GstAudioFormat), such as S16LE: signed, 16 bits, little end first.
    Raises InvalidInputError for another format and for a length that holds no whole number of samples.
    """
    found = _NAME.fullmatch(sample_format.strip().upper())
    kind, bits, room = (found["kind"], int(found["bits"]), found["room"]) if found else ("", 0, None)
    known = bits in (32, 64) if kind == "F" else bits in (8, 16, 24, 32)
    if not found or not known or bool(found["order"]) != (bits > 8) or (room and (kind, bits) != ("S", 24)):
        raise InvalidInputError(f"PCM format {sample_format!r} is not known: use one of {FORMATS}")
    width = 4 if room else bits // 8
    if len(data) % width:
        raise InvalidInputError(f"{len(data)} bytes are no whole number of {sample_format} samples")
    big = found["order"] == "BE"
    if width == 3:
        values = _three_bytes(data, big)
    else:
        letter = {"S": "i", "U": "u", "F": "f"}[kind]
        values = np.frombuffer(data, f"{'>' if big else '<'}{letter}{width}")
    if kind == "F":
        return values.astype(np.float32)
    half = 2.0 ** (bits - 1)
    if kind == "U":
        return ((values.astype(np.float64) - half) / half).astype(np.float32)
    return (values / half).astype(np.float32)


def _three_bytes(data: bytes, big: bool) -> np.ndarray:
    """Packed 24-bit samples as int32."""
    order = slice(None, None, -1) if big else slice(None)
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    # In the upper three bytes, so that the sign comes along.
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)[:, order]
    return wide.view("<i4")[:, 0] >> 8
