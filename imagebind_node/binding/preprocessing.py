"""From a sample of the new sense to its tower's input, by name, from a recipe's `preprocessing` section.

    @register_preprocessing("my_lidar")
    def my_lidar(beams: int = 360) -> Preprocessing: ...

Name and options are kept in the card of the bound tower: it is fed what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imagebind_node.binding.plugins import Registry
from imagebind_node.encoders.base import StreamingFrontEnd
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import AudioSample, DepthSample, Sample, ThermalSample


@dataclass(frozen=True)
class Preprocessing:
    """function: sample -> float32 tensor, of the same shape for all. window: seconds of signal that one embedding of
    a stream (sound, motion) covers, 0 for single measurements. front_end: makes a version for endless sound that
    computes only what is new; without, `function` gets the newest window of sound."""

    function: Callable[[Any], Tensor]
    window: float = 0.0
    front_end: Callable[[], StreamingFrontEnd] | None = None


_preprocessing: Registry[Callable[..., Preprocessing]] = Registry("preprocessing")
register_preprocessing = _preprocessing.register


def build_preprocessing(section: str | Mapping[str, Any]) -> Preprocessing:
    """What a recipe's section describes: NAME, or {"name": NAME, options...}. Raises InvalidInputError."""
    options = {"name": section} if isinstance(section, str) else dict(section)
    name = options.pop("name", "")
    try:
        return _preprocessing.get(str(name))(**options)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"preprocessing {name!r}: {error}") from error


@register_preprocessing("array")
def array() -> Preprocessing:
    """The numbers of the sample as they are."""
    return Preprocessing(lambda sample: torch.from_numpy(np.array(sample.data, np.float32)))


@register_preprocessing("imagebind.audio")
def imagebind_audio(clips: int = 3) -> Preprocessing:
    """(clips, 1, 128, 204): Kaldi mel spectrograms of 2 s clips spread over the sound."""
    from imagebind_node.preprocessing.audio import AudioParameters, StreamingFbank, preprocess_audio

    parameters = AudioParameters(clips=clips)
    return Preprocessing(lambda sample: preprocess_audio(sample, parameters), 2.0, StreamingFbank)


@register_preprocessing("imagebind.depth")
def imagebind_depth() -> Preprocessing:
    """(1, 224, 224): normalised disparity."""
    from imagebind_node.preprocessing.depth import preprocess_depth

    return Preprocessing(preprocess_depth)


@register_preprocessing("imagebind.thermal")
def imagebind_thermal(**choice: Any) -> Preprocessing:
    """(1, 224, 224) in [0, 1]; choice: `window`, `radiometric` or `percentiles`, as `preprocess_thermal` takes them."""
    from imagebind_node.preprocessing.thermal import preprocess_thermal

    return Preprocessing(lambda sample: preprocess_thermal(sample, **choice))


@register_preprocessing("imagebind.imu")
def imagebind_imu(rate: float = 400.0, seconds: float = 5.0) -> Preprocessing:
    """(6, rate x seconds): m/s^2 and rad/s on an even grid; ImageBind's is 400 Hz for 5 s."""
    from imagebind_node.preprocessing.imu import preprocess_imu

    return Preprocessing(lambda sample: preprocess_imu(sample, rate=rate, duration=seconds), seconds)


@register_preprocessing("grey")
def grey(side: int = 64) -> Preprocessing:
    """(1, side, side) in [-1, 1] from a depth or thermal picture, stretched from its 2nd to its 98th percentile."""
    from imagebind_node.encoders.concept.picture import depth_picture, square, thermal_picture

    def function(sample: Sample) -> Tensor:
        if isinstance(sample, DepthSample):
            pixels = depth_picture(sample)
        elif isinstance(sample, ThermalSample):
            pixels = thermal_picture(sample)
        else:
            raise InvalidInputError(
                f"preprocessing 'grey' is for depth and thermal pictures, not {sample.modality}"
            )
        small = np.ascontiguousarray(square(pixels, side)[..., :1])
        return torch.from_numpy(small).permute(2, 0, 1).float() / 127.5 - 1

    return Preprocessing(function)


@register_preprocessing("log_mel")
def log_mel(clips: int = 3) -> Preprocessing:
    """(clips, 1, 96, 64): log mel spectrograms of 0.975 s clips spread over the sound, 64 bands, 10 ms steps."""
    from imagebind_node.encoders.concept import log_mel as front

    if clips < 1:
        raise InvalidInputError("log_mel needs at least one clip")

    def function(sample: AudioSample) -> Tensor:
        signal = _at_rate(sample, front.SAMPLE_RATE)
        if len(signal) < front.PATCH_SAMPLES:
            signal = np.resize(signal, front.PATCH_SAMPLES)
        starts = np.linspace(0, len(signal) - front.PATCH_SAMPLES, clips).astype(int)
        parts = [front.log_mel(signal[start : start + front.PATCH_SAMPLES]) for start in starts]
        # YAMNet's spectrogram lies about -7 (silence) to 5: this brings it near mean 0 and deviation 1.
        return (torch.from_numpy(np.stack(parts))[:, None] + 2) / 2

    return Preprocessing(function, front.WINDOW_SECONDS)


@register_preprocessing("yamnet")
def yamnet() -> Preprocessing:
    """(1024,): what `concept`'s frozen YAMNet computes before it names classes, mean over 0.975 s patches."""
    from imagebind_node.binding.yamnet_features import YamnetFeatures
    from imagebind_node.encoders.concept.log_mel import WINDOW_SECONDS

    return Preprocessing(YamnetFeatures(), WINDOW_SECONDS)


def _at_rate(sample: AudioSample, rate: int) -> np.ndarray:
    from imagebind_node.preprocessing.audio_signal import resample, to_mono

    return resample(to_mono(sample.data), sample.sample_rate, rate)
