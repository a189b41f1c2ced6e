"""Sound of other packages: the messages of both packages that are called audio_common_msgs.

- ros-drivers/audio_common: AudioData and AudioDataStamped hold bytes; AudioInfo, on a topic of its own, says of what.
- mgonzs13/audio_common: AudioStamped holds an array for each kind of sample, and says which of them is meant.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError, MissingDependencyError
from imagebind_node.nodes.conversions import MAX_AUDIO_CHANNELS, to_nanoseconds
from imagebind_node.preprocessing.pcm import decode_pcm
from imagebind_node.samples import AudioSample
from imagebind_node.streaming.uncounted_audio import UncountedAudio

STAMPED, DATA_STAMPED, DATA = (
    f"audio_common_msgs/msg/{name}" for name in ("AudioStamped", "AudioDataStamped", "AudioData")
)
TYPES = (STAMPED, DATA_STAMPED, DATA)
INFO = "audio_common_msgs/msg/AudioInfo"
# PortAudio's number of a sample format -> the field of AudioData (mgonzs13), and the same as decode_pcm names it.
_PORTAUDIO = {
    1: ("float32_data", "F32LE"),
    2: ("int32_data", "S32LE"),
    8: ("int16_data", "S16LE"),
    16: ("int8_data", "S8"),
    32: ("uint8_data", "U8"),
}


def message_class(name: str) -> Any:
    """The class of a message type, such as audio_common_msgs/msg/AudioData. Raises MissingDependencyError."""
    package, _, kind = name.split("/")
    try:
        return getattr(import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError):
        raise MissingDependencyError(
            f"sound of type {name} cannot be read: {package} with this type is not installed here; source the "
            "workspace of the audio driver"
        ) from None


class Coding:
    """What the bytes of AudioData are: told by AudioInfo, or by the parameter `audio_format`."""

    def __init__(self, words: str = "") -> None:
        """words: format, channels and rate, such as "S16LE 1 16000"; empty: wait for AudioInfo.

        Raises InvalidInputError for anything else.
        """
        self._told = False
        if words.strip():
            try:
                sample_format, channels, rate = words.split()
                self._set(sample_format, int(channels), int(rate))
            except ValueError:
                raise InvalidInputError(
                    f"audio_format {words!r} is not format, channels and rate, such as S16LE 1 16000"
                ) from None

    def learn(self, info: Any) -> None:
        """Take what an AudioInfo message says. Raises InvalidInputError for what is no PCM."""
        if info.coding_format.lower() not in ("wave", "wav", "raw", ""):
            self._told = False
            raise InvalidInputError(
                f"the sound is coded as {info.coding_format!r}: start audio_capture with format:=wave"
            )
        self._set(info.sample_format, info.channels, info.sample_rate)

    def sample(self, data: Any, stamp: int, frame_id: str) -> AudioSample:
        """Bytes of one message -> sample."""
        if not self._told:
            raise InvalidInputError(
                "sound without a format: no AudioInfo has come on audio_info yet; remap that topic, or set audio_format"
            )
        samples = decode_pcm(bytes(data), self._format)
        return AudioSample(_framed(samples, self._channels), self._rate, stamp, frame_id)

    def _set(self, sample_format: str, channels: int, rate: int) -> None:
        decode_pcm(b"", sample_format)
        self._format, self._channels, self._rate = sample_format, channels, rate
        self._told = True


class ForeignAudio:
    """Reads the messages of all three types, and gives blocks a place in the stream, which they do not say."""

    def __init__(self, words: str = "") -> None:
        """words: see Coding."""
        self.coding = Coding(words)
        self._order = UncountedAudio()

    def read(self, message: Any, now: int) -> tuple[AudioSample, int]:
        """(sample, index of its first frame). A message without a stamp is taken to end `now`, ns."""
        sample = self._sample(message)
        measured = sample.stamp or now - round(sample.duration * 1e9)
        stamp, sequence = self._order.place(measured, len(sample.data), sample.sample_rate)
        return replace(sample, stamp=stamp), sequence

    def _sample(self, message: Any) -> AudioSample:
        if not hasattr(message, "header"):
            return self.coding.sample(message.data, 0, "")
        if hasattr(message.audio, "info"):
            return stamped_sample(message)
        if not hasattr(message.audio, "data"):
            raise InvalidInputError(
                "AudioDataStamped without bytes: an old audio_common_msgs of mgonzs13; update it"
            )
        header = message.header
        return self.coding.sample(message.audio.data, to_nanoseconds(header.stamp), header.frame_id)


def stamped_sample(message: Any) -> AudioSample:
    """AudioStamped (mgonzs13) -> sample."""
    info = message.audio.info
    if info.format not in _PORTAUDIO:
        known = ", ".join(f"{number} ({name})" for number, (_, name) in _PORTAUDIO.items())
        raise InvalidInputError(f"AudioStamped of format {info.format} cannot be read: use one of {known}")
    field, name = _PORTAUDIO[info.format]
    samples = decode_pcm(np.asarray(getattr(message.audio.audio_data, field)).tobytes(), name)
    return AudioSample(
        _framed(samples, info.channels),
        info.rate,
        to_nanoseconds(message.header.stamp),
        message.header.frame_id,
    )


def _framed(samples: np.ndarray, channels: int) -> np.ndarray:
    """Interleaved float32 (N * channels,) -> (N,) or (N, channels)."""
    if not 1 <= channels <= MAX_AUDIO_CHANNELS or len(samples) % channels:
        raise InvalidInputError(
            f"{len(samples)} values cannot be sound of {channels} channels (1 to {MAX_AUDIO_CHANNELS})"
        )
    return samples if channels == 1 else samples.reshape(-1, channels)
