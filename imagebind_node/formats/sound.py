"""Sound files through libsndfile (WAV, FLAC, Ogg, MP3, AIFF)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import MEBI, decoding, regular_file

SOUND_BYTES = 1024 * MEBI
MAX_VALUES = 128_000_000
"""Samples times channels held at most (512 MiB as float32; more than two hours of 16 kHz mono)."""

_HINT = "use WAV, FLAC, Ogg Vorbis, Opus or MP3 (ffmpeg -i FILE out.wav converts others)"
_BLOCK = 1 << 18


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Sound file -> (float32 (N,) or (N, channels) in [-1, 1], sample rate in Hz).

    Integer PCM is scaled by its full range. Raises InvalidInputError naming file and cause.
    """
    import soundfile

    with decoding(path, "sound file", _HINT):
        path = regular_file(path, SOUND_BYTES)
        # Opened by us, so that no file name is taken for a description of headerless audio.
        with path.open("rb") as stream, soundfile.SoundFile(stream) as sound:
            blocks, values = [], 0
            while True:
                block = sound.read(_BLOCK // sound.channels + 1, dtype="float32", always_2d=True)
                if len(block) == 0:
                    break
                values += block.size
                if values > MAX_VALUES:
                    raise InvalidInputError(
                        f"is too long (over {MAX_VALUES // sound.channels / sound.samplerate:.0f} s): cut it"
                    )
                blocks.append(block)
            rate = int(sound.samplerate)
        if not blocks:
            raise InvalidInputError("holds no sound (0 samples)")
        data = np.concatenate(blocks)
        return (data[:, 0].copy() if data.shape[1] == 1 else data), rate
