"""From what people hand over (arrays, paths, command line words) to validated samples. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.arrays import is_array_file, read_arrays
from imagebind_node.formats.bounded import MEBI, decoding, read_bytes, shown
from imagebind_node.formats.conversion import (
    audio_sample,
    depth_sample,
    image_sample,
    imu_sample,
    thermal_sample,
)
from imagebind_node.formats.file_type import kind_of
from imagebind_node.formats.inertial import read_imu_table
from imagebind_node.samples import (
    ArraySample,
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Modality,
    Sample,
    TextSample,
    ThermalSample,
    VideoSample,
    further_modalities,
    parse_modality,
)

TEXT_BYTES = MEBI // 16

_ALIASES = {"image": "vision", "video": "vision", "sound": "audio"}
_SAY_WHICH = "say what it is: " + ", ".join(f"{m.value}:PATH" for m in Modality if m is not Modality.TEXT)


def read_image(path: str | Path) -> ImageSample:
    """Picture file -> ImageSample, upright by EXIF, transparency over white, 16-bit grey scaled to 8.

    Raises InvalidInputError naming the file and the cause: missing, empty, truncated, not a picture, over 100
    million pixels or 16384 a side.
    """
    from imagebind_node.formats.pictures import read_rgb

    return ImageSample(read_rgb(path))


def read_video(path: str | Path) -> VideoSample:
    """Video file -> VideoSample; long videos are thinned evenly to at most 2048 frames and 512 MiB.

    Raises InvalidInputError naming the file and the cause.
    """
    from imagebind_node.formats.movie import read_frames

    frames, times = read_frames(path)
    return VideoSample(frames, times)


def read_audio(path: str | Path) -> AudioSample:
    """Sound file (WAV, FLAC, Ogg, MP3) -> AudioSample, float32, original rate and channels.

    Raises InvalidInputError naming the file and the cause; NaN samples are refused.
    """
    from imagebind_node.formats.sound import read_sound

    data, rate = read_sound(path)
    with decoding(path, "sound file", "check the file"):
        return AudioSample(data, rate)


def read_depth(path: str | Path) -> DepthSample:
    """Depth file -> DepthSample in metres, NaN where nothing was measured (REP-118).

    16-bit PNG or TIFF and integer arrays: millimetres, 0 = no measurement. Float TIFF, .npy: metres. .npz: array
    `depth` and optional scalars `focal_px`, `baseline_m`. Raises InvalidInputError naming the file and the cause.
    """
    from imagebind_node.formats.pictures import read_grey

    with decoding(path, "depth file", "use a 16-bit PNG in millimetres or .npy in metres"):
        if not is_array_file(path):
            values = read_grey(path)
            if values.dtype == np.uint8:
                raise InvalidInputError(
                    "is an 8-bit picture, which states no distance: save depth as 16-bit PNG in millimetres"
                )
            return depth_sample(values)
        arrays = read_arrays(path, "depth")
        if "depth" not in arrays and len(arrays) > 1:
            raise InvalidInputError(f"holds arrays {', '.join(sorted(arrays))[:80]} but none called 'depth'")
        values = arrays.get("depth", next(iter(arrays.values())))
        optics = {
            name: float(arrays[name].item())
            for name in ("focal_px", "baseline_m")
            if name in arrays and arrays[name].size == 1
        }
        return depth_sample(values, **optics)


def read_thermal(path: str | Path) -> ThermalSample:
    """Thermal file (8- or 16-bit PNG or TIFF, float TIFF, .npy, .npz) -> ThermalSample, values as stored.

    False-colour pictures are refused. Raises InvalidInputError naming the file and the cause.
    """
    from imagebind_node.formats.pictures import read_grey

    with decoding(path, "thermal file", "use an 8- or 16-bit single-channel PNG or TIFF, or .npy"):
        if not is_array_file(path):
            return thermal_sample(read_grey(path))
        arrays = read_arrays(path, "thermal")
        if "thermal" not in arrays and len(arrays) > 1:
            raise InvalidInputError(
                f"holds arrays {', '.join(sorted(arrays))[:80]} but none called 'thermal'"
            )
        return thermal_sample(arrays.get("thermal", next(iter(arrays.values()))))


def read_imu(path: str | Path) -> ImuSample:
    """IMU file -> ImuSample: CSV with header t,ax,ay,az,gx,gy,gz (s, m/s^2, rad/s; other columns ignored), .npy
    (N, 7) in that order, or .npz with `data` (N, 6) and `times` (N,).

    Raises InvalidInputError naming the file and the cause.
    """
    data, times = read_imu_table(path)
    with decoding(path, "IMU recording", "check the file"):
        return ImuSample(data, times)


def read_text(path: str | Path) -> TextSample:
    """UTF-8 text file of at most 64 KiB -> TextSample."""
    with decoding(path, "UTF-8 text", "save it as UTF-8"):
        return TextSample(read_bytes(path, TEXT_BYTES).decode("utf-8-sig").strip())


def read_array(path: str | Path, modality: Modality) -> ArraySample:
    """.npy or .npz -> measurement of a sense that was bound.

    Of a .npz the array named as the modality, or the only one that is more than a number, is the measurement; its
    single numbers are the facts (`angle_min` ...). Raises InvalidInputError naming the file and the cause.
    """
    with decoding(path, f"{modality} measurement", "save it with numpy.save"):
        arrays = read_arrays(path, str(modality))
        data = arrays.pop(str(modality), None)
        if data is None:
            larger = [name for name, array in arrays.items() if array.size != 1] or list(arrays)[:1]
            if len(larger) != 1:
                raise InvalidInputError(
                    f"holds arrays {', '.join(larger)[:80]} but none called {str(modality)!r}"
                )
            data = arrays.pop(larger[0])
        facts = {name: float(array.item()) for name, array in arrays.items() if array.size == 1}
        return ArraySample(data, modality, facts)


def prefixes() -> list[str]:
    """What may stand before the colon of an input on the command line."""
    return [*_READERS, *_ALIASES, *further_modalities()]


def read_vision(path: str | Path) -> ImageSample | VideoSample:
    """Picture or video file, told apart by type."""
    return read_video(path) if kind_of(path) == "video" else read_image(path)


_READERS: dict[Modality, Callable[[str | Path], Sample]] = {
    Modality.VISION: read_vision,
    Modality.TEXT: read_text,
    Modality.AUDIO: read_audio,
    Modality.DEPTH: read_depth,
    Modality.THERMAL: read_thermal,
    Modality.IMU: read_imu,
}


_CONVERTERS: dict[Modality, Callable[[Any], Sample]] = {
    Modality.VISION: image_sample,
    Modality.AUDIO: audio_sample,
    Modality.DEPTH: depth_sample,
    Modality.THERMAL: thermal_sample,
    Modality.IMU: imu_sample,
}


def modality_of(path: str | Path) -> Modality:
    """Modality that the type of an existing file tells (name's ending, else first bytes).

    A PNG or TIFF counts as a picture; depth, thermal and numpy files have to be named as such. Raises
    InvalidInputError if the type does not tell.
    """
    kinds = {
        "image": Modality.VISION,
        "video": Modality.VISION,
        "audio": Modality.AUDIO,
        "imu": Modality.IMU,
        "text": Modality.TEXT,
    }
    kind = kind_of(path)
    if kind is None:
        raise InvalidInputError(f"{shown(path)}: the file type does not tell what it is: {_SAY_WHICH}")
    return kinds[kind]


def read_sample(path: str | Path, modality: str | Modality | None = None) -> Sample:
    """Read a file as `modality`, or as what its type tells. Raises InvalidInputError naming file and cause."""
    chosen = modality_of(path) if modality is None else parse_modality(modality)
    return _READERS[chosen](path) if chosen in _READERS else read_array(path, chosen)


def parse_input(text: str) -> tuple[Modality, Sample]:
    """Command line input -> (modality, sample), read from disk.

    `MODALITY:PATH` with vision, image, video, audio, sound, depth, thermal, imu; `text:WORDS`; or a bare PATH
    whose type tells. Raises InvalidInputError: no such file, unknown modality, unreadable file, blank text.
    """
    prefix, colon, rest = text.partition(":")
    name = prefix.strip().lower()
    if colon and name in prefixes():
        if name == "text":
            return Modality.TEXT, TextSample(rest.strip())
        if not rest.strip():
            raise InvalidInputError(f"{text!r} names no file: write {name}:PATH")
        if name in ("image", "video"):
            return Modality.VISION, (read_image if name == "image" else read_video)(rest)
        modality = parse_modality(_ALIASES.get(name, name))
        return modality, read_sample(rest, modality)
    if not text.strip():
        raise InvalidInputError("empty input: give a file, MODALITY:PATH or text:WORDS")
    try:
        there = Path(text).exists() or Path(text).is_symlink()
    except (OSError, ValueError):
        there = False
    if not there:
        raise InvalidInputError(
            f"{text[:120]!r} is not a file: write {'text:' + text[:60]!r} for words, or MODALITY:PATH with one of "
            + ", ".join(prefixes())
        )
    modality = modality_of(text)
    return modality, read_sample(text, modality)


def as_sample(value: Any, modality: str | Modality) -> Sample:
    """Make a validated sample of `modality` from a sample, an array or a path.

    Samples pass through if their modality fits. Arrays: vision uint8 (H, W, 3) RGB, (H, W) grey or (H, W, 4)
    RGBA, or a PIL picture; depth float (H, W) metres or integer millimetres; thermal (H, W); audio
    (data, sample_rate), float or integer PCM; IMU (N, 7) t,ax,ay,az,gx,gy,gz or (data (N, 6), times (N,)); senses
    that were bound: any numbers.
    str and Path are read from disk, except that for text a str is the words. Raises InvalidInputError.
    """
    modality = parse_modality(modality)
    if isinstance(value, get_args(Sample)):
        if value.modality is not modality:
            raise InvalidInputError(f"a {type(value).__name__} cannot be encoded as {modality}")
        return value
    if isinstance(value, str) and modality is Modality.TEXT:
        return TextSample(value)
    if isinstance(value, (str, Path)):
        return read_sample(value, modality)
    if modality not in _READERS:
        return ArraySample(np.asarray(value), modality)
    if modality not in _CONVERTERS:
        raise InvalidInputError(f"text must be a str, got {type(value).__name__}")
    return _CONVERTERS[modality](value)
