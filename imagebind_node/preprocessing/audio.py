"""Sound for the audio tower: mel spectrograms of 2 s clips, whole or as a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from imagebind_node.errors import InvalidInputError
from imagebind_node.preprocessing.audio_signal import resample, to_mono
from imagebind_node.preprocessing.clips import clip_spans
from imagebind_node.samples import AudioSample


@dataclass(frozen=True)
class AudioParameters:
    """Log-mel filter bank of Kaldi (compute-fbank-feats) as ImageBind's released loader sets it, after AST (Gong
    et al. 2021). Lengths in samples at `sample_rate`; `mean` and `std` are of the training spectrograms."""

    sample_rate: int = 16_000
    clip_seconds: int = 2
    clips: int = 3
    frame: int = 400
    shift: int = 160
    fft: int = 512
    mel_bins: int = 128
    low_hz: float = 20.0
    preemphasis: float = 0.97
    target_frames: int = 204
    mean: float = -4.268
    std: float = 9.138


AUDIO = AudioParameters()

_FLOOR = float(np.finfo(np.float32).eps)
"""Kaldi's smallest energy before the logarithm."""


@lru_cache(maxsize=4)
def _window(parameters: AudioParameters) -> torch.Tensor:
    return torch.hann_window(parameters.frame, periodic=False, dtype=torch.float32)


@lru_cache(maxsize=4)
def _mel_bank(parameters: AudioParameters) -> torch.Tensor:
    """Triangles on the mel scale 1127 ln(1 + f/700), float32 (fft // 2 + 1, mel_bins); Nyquist has no weight.

    In single precision like Kaldi: the lowest triangles are narrower than one FFT bin, so that their tiny weights
    are mostly rounding, and the logarithm shows it.
    """
    low = 1127.0 * math.log(1.0 + parameters.low_hz / 700.0)
    high = 1127.0 * math.log(1.0 + parameters.sample_rate / 2 / 700.0)
    step = (high - low) / (parameters.mel_bins + 1)
    number = torch.arange(parameters.mel_bins, dtype=torch.float32)
    left, centre, right = low + number * step, low + (number + 1.0) * step, low + (number + 2.0) * step
    hertz = torch.arange(parameters.fft // 2, dtype=torch.float32) * (parameters.sample_rate / parameters.fft)
    mel = (1127.0 * (1.0 + hertz / 700.0).log())[:, None]
    weights = torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)).clamp_min(0.0)
    return torch.cat([weights, torch.zeros(1, parameters.mel_bins)])


def frame_count(samples: int, parameters: AudioParameters = AUDIO) -> int:
    """Whole frames in a signal (none is padded at its ends)."""
    return 0 if samples < parameters.frame else 1 + (samples - parameters.frame) // parameters.shift


def fbank(waveform: torch.Tensor, parameters: AudioParameters = AUDIO) -> torch.Tensor:
    """Log-mel energies of a mono signal: float32 (N,) at 16 kHz -> float32 (frames, mel_bins), natural logarithm.

    Each frame: mean removed, pre-emphasis, Hann window, power spectrum, mel triangles, logarithm floored at the
    float32 epsilon. Since each frame loses its own mean first, adding a constant to the whole signal changes
    nothing: frames do not depend on the clip that they are in, which is what makes streaming exact.
    """
    frames = waveform.unfold(0, parameters.frame, parameters.shift)
    frames = frames - frames.mean(dim=1, keepdim=True)
    previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    frames = (frames - parameters.preemphasis * previous) * _window(parameters)
    power = torch.fft.rfft(frames, n=parameters.fft).abs().square()
    return (power @ _mel_bank(parameters)).clamp_min(_FLOOR).log()


def _finish(mel: torch.Tensor, parameters: AudioParameters) -> torch.Tensor:
    """(frames, mel_bins) -> (1, mel_bins, target_frames): cut or padded with 0 (not silence: the original pads
    the logarithms) and only then normalised."""
    kept = mel[: parameters.target_frames]
    padded = mel.new_zeros(parameters.target_frames, parameters.mel_bins)
    padded[: len(kept)] = kept
    return padded.sub_(parameters.mean).div_(parameters.std).T.contiguous()[None]


def preprocess_audio(sample: AudioSample, parameters: AudioParameters = AUDIO) -> torch.Tensor:
    """AudioSample of any rate and channel count -> float32 (3, 1, 128, 204): three 2 s clips spread over the sound.

    Channels are averaged (the original takes the first only), the rate is converted to 16 kHz. Sounds shorter
    than 2 s give the same clip three times, padded. Average the embeddings of the clips. Raises InvalidInputError
    if shorter than one frame (25 ms).
    """
    rate = parameters.sample_rate
    signal = resample(to_mono(sample.data), sample.sample_rate, rate)
    if len(signal) < parameters.frame:
        raise InvalidInputError(
            f"audio of {sample.duration * 1000:.1f} ms is shorter than one analysis frame "
            f"({parameters.frame / rate * 1000:.0f} ms): record more"
        )
    clips = []
    for start, end in clip_spans(len(signal) / rate, parameters.clip_seconds, parameters.clips):
        clip = np.array(signal[int(start * rate) : int(end * rate)])
        # The original subtracts the clip's mean here; every frame loses its own mean below, which covers that.
        clips.append(_finish(fbank(torch.from_numpy(clip), parameters), parameters))
    return torch.stack(clips)


class StreamingFbank:
    """Front end for an endless signal: each hop computes only its new mel frames.

    `input` equals `preprocess_audio` of the newest 2 s on the 10 ms grid that starts with the first sample
    pushed, up to rounding. Not thread-safe.
    """

    def __init__(self, parameters: AudioParameters = AUDIO) -> None:
        self.parameters = parameters
        self.sample_rate = parameters.sample_rate
        self._window_samples = parameters.clip_seconds * parameters.sample_rate
        self._window_frames = frame_count(self._window_samples, parameters)
        self.reset()

    def reset(self) -> None:
        """Forget everything, after a gap in the signal."""
        self._tail = np.zeros(0, np.float32)
        self._mel = torch.zeros(0, self.parameters.mel_bins)
        self._pushed = 0

    def push(self, samples: np.ndarray) -> None:
        """Append float32 (N,) samples at 16 kHz mono."""
        if samples.ndim != 1:
            raise InvalidInputError(f"push() takes mono samples of shape (N,), got {samples.shape}")
        self._pushed += len(samples)
        self._tail = np.concatenate([self._tail, samples.astype(np.float32, copy=False)])
        frames = frame_count(len(self._tail), self.parameters)
        # Frames that have already left the window when a long block arrives are never computed.
        skipped = max(0, frames - self._window_frames) * self.parameters.shift
        if frames == 0:
            return
        new = fbank(torch.from_numpy(self._tail[skipped:]), self.parameters)
        self._mel = torch.cat([self._mel, new])[-self._window_frames :]
        self._tail = self._tail[frames * self.parameters.shift :].copy()

    def input(self) -> torch.Tensor | None:
        """float32 (1, 1, 128, 204) of the newest window; None until 2 s were pushed."""
        if self._pushed < self._window_samples:
            return None
        return _finish(self._mel, self.parameters)[None]


def check_audio(sample: AudioSample) -> list[str]:
    """Warnings about sound that the audio tower was not trained on; empty if fine."""
    data = sample.data if sample.data.ndim == 2 else sample.data[:, None]
    warnings = []
    peak = float(np.abs(data).max())
    offset = float(np.abs(data.mean(axis=0)).max())
    level = float(np.sqrt(np.square(data - data.mean(axis=0), dtype=np.float64).mean()))
    if peak > 1.0:
        warnings.append(f"audio peaks at {peak:.3g}, outside [-1, 1]: integer samples that were not scaled?")
    elif (np.abs(data) >= 0.999).mean() > 1e-3:
        warnings.append("audio is clipped (over 0.1 % of the samples at full scale): lower the gain")
    if offset > 0.05:
        warnings.append(
            f"audio has a constant offset of {offset:.2f}: check the microphone's supply or driver"
        )
    if level == 0.0:
        warnings.append("audio is digital silence: is the microphone muted?")
    elif level < 1e-4:
        warnings.append(f"audio is very quiet ({20 * np.log10(level):.0f} dB of full scale): raise the gain")
    if data.shape[1] > 1:
        silent = np.flatnonzero(np.ptp(data, axis=0) == 0.0)
        if 0 < len(silent) < data.shape[1]:
            warnings.append(
                f"audio channel {silent[0]} of {data.shape[1]} is silent: averaging halves the level"
            )
        mixed = float(np.sqrt(np.square(to_mono(data) - data.mean(), dtype=np.float64).mean()))
        if level > 1e-4 and mixed < 0.1 * level:
            warnings.append("audio channels cancel each other when averaged: is one of them inverted?")
    if sample.sample_rate < AUDIO.sample_rate:
        warnings.append(
            f"audio at {sample.sample_rate} Hz holds nothing above {sample.sample_rate / 2000:.1f} kHz, "
            "where the model expects up to 8 kHz"
        )
    if sample.duration < AUDIO.clip_seconds:
        warnings.append(
            f"audio of {sample.duration:.2f} s is shorter than the model's 2 s: the rest is padding"
        )
    return warnings
