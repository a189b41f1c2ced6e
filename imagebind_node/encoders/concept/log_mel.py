"""YAMNet's front end: log mel spectrogram of 16 kHz mono sound, offline or continued block by block."""

from __future__ import annotations

import numpy as np
import torch

SAMPLE_RATE = 16_000
FRAME = 400
HOP = 160
FFT = 512
MEL_BANDS = 64
PATCH_FRAMES = 96
PATCH_HOP = 48
PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP + FRAME
WINDOW_SECONDS = PATCH_SAMPLES / SAMPLE_RATE
_FLOOR = 1e-3


def _mel_matrix() -> np.ndarray:
    """(257, 64) triangular filters, HTK mel scale, 125 to 7500 Hz."""
    hertz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
    mel = 1127.0 * np.log1p(hertz / 700.0)[:, None]
    low, high = 1127.0 * np.log1p(np.array([125.0, 7500.0]) / 700.0)
    edges = np.linspace(low, high, MEL_BANDS + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    filters = np.maximum(0, np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)))
    filters[0] = 0
    return filters.astype(np.float32)


_MEL = _mel_matrix()
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """float32 (N,) samples at 16 kHz -> float32 (frames, 64); frames that do not fit whole are left out."""
    if len(samples) < FRAME:
        return np.zeros((0, MEL_BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    # NumPy 1 computes in float64.
    magnitude = np.abs(np.fft.rfft(frames * _HANN, FFT, axis=1)).astype(np.float32, copy=False)
    return np.log(magnitude @ _MEL + _FLOOR)


def patches(samples: np.ndarray) -> torch.Tensor:
    """float32 (N,) samples at 16 kHz -> (P, 96, 64): 0.975 s each, half overlapping, zeros after the end."""
    beyond = max(len(samples) - PATCH_SAMPLES, 0)
    count = 1 + -(-beyond // (PATCH_HOP * HOP))
    padded = np.zeros(PATCH_SAMPLES + (count - 1) * PATCH_HOP * HOP, np.float32)
    padded[: len(samples)] = samples
    frames = log_mel(padded)
    starts = np.arange(count) * PATCH_HOP
    return torch.from_numpy(np.stack([frames[start : start + PATCH_FRAMES] for start in starts]))


class StreamingLogMel:
    """Continued log mel spectrogram: each `push` computes only the frames that became complete.

    `input()` is the newest patch (1, 96, 64); equal to `log_mel` of the whole stream, cut at its last 96 frames.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the signal so far."""
        self._tail = np.zeros(0, np.float32)
        self._frames = np.zeros((0, MEL_BANDS), np.float32)

    def push(self, samples: np.ndarray) -> None:
        """Append float32 (N,) samples at 16 kHz."""
        signal = np.concatenate([self._tail, np.asarray(samples, np.float32)])
        fresh = log_mel(signal)
        self._tail = signal[len(fresh) * HOP :]
        self._frames = np.concatenate([self._frames, fresh])[-PATCH_FRAMES:]

    def input(self) -> torch.Tensor | None:
        """The newest patch, float32 (1, 96, 64), or None until 0.975 s of signal were pushed."""
        if len(self._frames) < PATCH_FRAMES:
            return None
        return torch.from_numpy(self._frames[None].copy())
