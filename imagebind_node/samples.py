"""What sensors deliver: one frozen, validated type a modality.

A sample carries its data, the time of capture (`stamp`, integer nanoseconds since the epoch of the clock that
took it, 0 if unknown) and the coordinate frame of the sensor (`frame_id`, REP-105). Arrays are taken as they
are, without a copy, and must not be written to afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from imagebind_node.errors import InvalidInputError

MAX_IMAGE_SIDE = 16384


class Modality(str, Enum):
    """The six senses of ImageBind (Girdhar et al. 2023); further ones come with `new_modality`."""

    VISION = "vision"
    TEXT = "text"
    AUDIO = "audio"
    DEPTH = "depth"
    THERMAL = "thermal"
    IMU = "imu"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def _missing_(cls, value: object) -> Modality | None:
        return _further.get(value) if isinstance(value, str) else None


_further: dict[str, Modality] = {}
_MOST_FURTHER = 256
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Words that already mean something where a modality may stand.
_RESERVED = frozenset({"image", "video", "sound", "embedding", "fused"})


def new_modality(name: str) -> Modality:
    """The modality called `name`, made if there is none: for a sense that was bound to a space (docs/binding.md).

    `Modality(name)` then finds it, but iterating over `Modality` still gives the six. Raises InvalidInputError unless
    the name is lower case letters, digits and underscores.
    """
    known = {member.value: member for member in Modality} | _further
    if name in known:
        return known[name]
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        raise InvalidInputError(
            f"{str(name)[:60]!r} cannot be the name of a modality: use up to 40 lower case letters, digits and "
            f"underscores, none of {', '.join(sorted(_RESERVED))}"
        )
    # Names come from other nodes' messages too: what a mad one sends must not fill the memory.
    if len(_further) >= _MOST_FURTHER:
        raise InvalidInputError(f"{name!r} would be one of more than {_MOST_FURTHER} further modalities")
    made = str.__new__(Modality, name)
    made._name_, made._value_ = name.upper(), name
    return _further.setdefault(name, made)


def further_modalities() -> list[Modality]:
    """Those that `new_modality` has made."""
    return list(_further.values())


def parse_modality(name: str | Modality) -> Modality:
    """Return the modality called `name`; raises InvalidInputError with the list of names."""
    try:
        return Modality(name)
    except ValueError:
        names = ", ".join([*(m.value for m in Modality), *_further])
        raise InvalidInputError(f"unknown modality {str(name)!r}: use one of {names}") from None


def _check_image(data: np.ndarray, what: str, ndim: int, dtypes: tuple[type, ...]) -> None:
    if not isinstance(data, np.ndarray) or data.ndim != ndim or data.dtype.type not in dtypes:
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        wanted = " or ".join(np.dtype(d).name for d in dtypes)
        shape = "(H, W, 3)" if ndim == 3 else "(H, W)"
        raise InvalidInputError(f"{what} must be a {wanted} array of shape {shape}, got {got}")
    height, width = data.shape[:2]
    if height == 0 or width == 0:
        raise InvalidInputError(f"{what} is empty ({width}x{height} pixels): check the camera or the file")
    if max(height, width) > MAX_IMAGE_SIDE:
        raise InvalidInputError(f"{what} of {width}x{height} pixels is larger than {MAX_IMAGE_SIDE} a side")


@dataclass(frozen=True)
class ImageSample:
    """A colour picture. `data`: uint8 (H, W, 3), RGB order, range [0, 255]."""

    data: np.ndarray
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.VISION

    def __post_init__(self) -> None:
        _check_image(self.data, "image", 3, (np.uint8,))
        if self.data.shape[2] != 3:
            raise InvalidInputError(f"image must have 3 colour channels (RGB), got {self.data.shape[2]}")


@dataclass(frozen=True)
class VideoSample:
    """A short clip of colour pictures. `data`: uint8 (T, H, W, 3) RGB; `times`: float64 (T,) s from the start."""

    data: np.ndarray
    times: np.ndarray
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.VISION

    def __post_init__(self) -> None:
        if not isinstance(self.data, np.ndarray) or self.data.ndim != 4 or len(self.data) == 0:
            raise InvalidInputError(
                "video must be a uint8 array of shape (T, H, W, 3) with at least one frame"
            )
        ImageSample(self.data[0])
        if self.times.shape != self.data.shape[:1]:
            raise InvalidInputError(f"video has {len(self.data)} frames but {len(self.times)} frame times")


@dataclass(frozen=True)
class DepthSample:
    """A depth picture. `data`: float32 (H, W) metres along the optical axis, NaN = no measurement (REP-118).

    `focal_px` (pixels) and `baseline_m` (metres) describe the stereo pair, for models that want disparity.
    """

    data: np.ndarray
    focal_px: float | None = None
    baseline_m: float | None = None
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.DEPTH

    def __post_init__(self) -> None:
        _check_image(self.data, "depth image", 2, (np.float32,))


@dataclass(frozen=True)
class ThermalSample:
    """A thermal picture. `data`: uint8, uint16 (radiometric counts) or float32 (kelvin), shape (H, W)."""

    data: np.ndarray
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.THERMAL

    def __post_init__(self) -> None:
        _check_image(self.data, "thermal image", 2, (np.uint8, np.uint16, np.float32))


@dataclass(frozen=True)
class AudioSample:
    """Sound. `data`: float32 (N,) or (N, channels), range [-1, 1]; `sample_rate` in Hz; `stamp` of the first sample."""

    data: np.ndarray
    sample_rate: int
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.AUDIO

    def __post_init__(self) -> None:
        data = self.data
        if not isinstance(data, np.ndarray) or data.dtype != np.float32 or data.ndim not in (1, 2):
            got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
            raise InvalidInputError(
                f"audio must be a float32 array of shape (N,) or (N, channels), got {got}"
            )
        if data.size == 0:
            raise InvalidInputError("audio is empty (0 samples): check the microphone or the file")
        if not 1000 <= self.sample_rate <= 768_000:
            raise InvalidInputError(f"audio sample rate must be 1000 to 768000 Hz, got {self.sample_rate}")
        if not np.isfinite(data).all():
            raise InvalidInputError("audio holds NaN or infinite samples: check the driver")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.data) / self.sample_rate


@dataclass(frozen=True)
class ImuSample:
    """A stretch of inertial measurements (REP-145).

    `data`: float32 (N, 6): accelerometer x, y, z in m/s^2 (gravity included), gyroscope x, y, z in rad/s;
    `times`: float64 (N,) seconds, strictly increasing; `stamp` of the last measurement.
    """

    data: np.ndarray
    times: np.ndarray
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.IMU

    def __post_init__(self) -> None:
        data, times = self.data, self.times
        if (
            not isinstance(data, np.ndarray)
            or data.ndim != 2
            or data.shape[1] != 6
            or data.dtype != np.float32
        ):
            got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
            raise InvalidInputError(f"IMU data must be a float32 array of shape (N, 6), got {got}")
        if len(data) < 2 or np.shape(times) != (len(data),):
            raise InvalidInputError(f"IMU needs at least 2 measurements, each with a time, got {len(data)}")
        if not np.isfinite(data).all() or not np.isfinite(times).all():
            raise InvalidInputError("IMU data or times hold NaN or infinite values: check the driver")
        if not (np.diff(times) > 0).all():
            raise InvalidInputError(
                "IMU times must be strictly increasing: duplicate or reordered measurements"
            )


@dataclass(frozen=True)
class TextSample:
    """Words. `data`: a string that is not blank."""

    data: str
    stamp: int = 0
    frame_id: str = ""
    modality = Modality.TEXT

    def __post_init__(self) -> None:
        if not isinstance(self.data, str) or not self.data.strip():
            raise InvalidInputError("text is empty: give at least one word")
        try:
            self.data.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"text holds half a character (a lone surrogate, number {error.start}): give valid Unicode"
            ) from None


@dataclass(frozen=True)
class ArraySample:
    """One measurement of a sense that was bound to a space, such as a laser scan.

    `data`: numbers (N, ...) as the sensor gave them, NaN and infinite ones too; `facts`: the plain numbers that came
    with it (`angle_min`, `range_max` of a scan).
    """

    data: np.ndarray
    modality: Modality
    facts: Mapping[str, float] = field(default_factory=dict)
    stamp: int = 0
    frame_id: str = ""

    def __post_init__(self) -> None:
        data = self.data
        if (
            not isinstance(data, np.ndarray)
            or data.dtype.kind not in "biuf"
            or data.ndim == 0
            or not data.size
        ):
            got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
            raise InvalidInputError(f"a {self.modality} measurement must be an array of numbers, got {got}")


Sample = (
    ImageSample
    | VideoSample
    | DepthSample
    | ThermalSample
    | AudioSample
    | ImuSample
    | TextSample
    | ArraySample
)
