"""The last seconds of sound as a picture that scrolls, with marks where something was recognised."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from imagebind_node.preprocessing.audio_signal import StreamResampler, to_mono
from imagebind_node.samples import AudioSample

SAMPLE_RATE, FRAME, HOP, BANDS = 16_000, 512, 320, 64
COLUMNS_PER_SECOND = SAMPLE_RATE / HOP
FLOOR_DB, CEILING_DB = -90.0, -10.0
"""Black and white of the picture, in decibels of full scale."""
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0
_WINDOW = np.hanning(FRAME).astype(np.float32) * np.float32(2 / (FRAME / 2))
_NEW_CUE_SECONDS = 1.0


def _mel_rows() -> np.ndarray:
    """For each band the bin of the spectrum at its centre, evenly on the mel scale (O'Shaughnessy 1987)."""
    low, high = 2595 * np.log10(1 + np.array([_LOWEST_HZ, _HIGHEST_HZ]) / 700)
    hertz = 700 * (10 ** (np.linspace(low, high, BANDS) / 2595) - 1)
    return np.round(hertz * FRAME / SAMPLE_RATE).astype(int)


_ROWS = _mel_rows()


def decibels(samples: np.ndarray) -> np.ndarray:
    """float32 (N,) at 16 kHz -> float32 (columns, 64) dB of full scale; a last frame that is not whole is left out."""
    if len(samples) < FRAME:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    magnitude = np.abs(np.fft.rfft(frames * _WINDOW, axis=1))[:, _ROWS]
    return (20 * np.log10(np.maximum(magnitude, 1e-6))).astype(np.float32)


@dataclass
class _Cue:
    """One stretch of sound that was recognised. begin, end: ns."""

    label: str
    begin: int
    end: int


class RollingSpectrogram:
    """Spectrogram (64 bands, 60 to 7600 Hz on the mel scale, 50 columns a second) of the last `seconds`.

    A gap between blocks, by their stamps, is shown as silence of the same length.
    """

    def __init__(self, seconds: float) -> None:
        self._columns = round(seconds * COLUMNS_PER_SECOND)
        self._frames = np.zeros((0, BANDS), np.float32)
        self._tail = np.zeros(0, np.float32)
        self._resampler: StreamResampler | None = None
        self._cues: deque[_Cue] = deque(maxlen=256)
        self.end = 0
        """Stamp in ns of the end of the newest column, 0 before there is one."""

    def push(self, block: AudioSample) -> None:
        """Append a block."""
        mono = to_mono(block.data)
        if block.sample_rate != SAMPLE_RATE:
            if self._resampler is None or self._resampler.rate_in != block.sample_rate:
                self._resampler = StreamResampler(block.sample_rate, SAMPLE_RATE)
            mono = self._resampler.push(mono)
        self._fill_gap(block.stamp)
        signal = np.concatenate([self._tail, mono])
        fresh = decibels(signal)
        self._tail = signal[len(fresh) * HOP :]
        self._frames = np.concatenate([self._frames, fresh])[-self._columns :]
        self.end = block.stamp + round(block.duration * 1e9)

    def mark(self, stamp: int, label: str) -> None:
        """Say that `label` was recognised in the sound that ends at `stamp` (ns)."""
        last = self._cues[-1] if self._cues else None
        if last is not None and last.label == label and 0 <= stamp - last.end < _NEW_CUE_SECONDS * 1e9:
            last.end = stamp
        else:
            self._cues.append(_Cue(label, stamp, stamp))

    def picture(self) -> np.ndarray:
        """uint8 (64, columns, 3) RGB, low frequencies at the bottom, newest sound at the right."""
        level = np.clip((self._frames.T[::-1] - FLOOR_DB) / (CEILING_DB - FLOOR_DB), 0, 1)
        canvas = np.zeros((BANDS, self._columns), np.uint8)
        if level.size:
            canvas[:, -level.shape[1] :] = np.uint8(level * 255)
        return np.ascontiguousarray(cv2.applyColorMap(canvas, cv2.COLORMAP_MAGMA)[..., ::-1])

    def marks(self) -> list[tuple[float, str]]:
        """(column, label) of the beginning of each cue that has not scrolled away."""
        placed = [
            (self._columns - (self.end - cue.begin) / 1e9 * COLUMNS_PER_SECOND, cue.label)
            for cue in self._cues
        ]
        return [(min(column, self._columns - 1.0), label) for column, label in placed if column >= 0]

    def _fill_gap(self, stamp: int) -> None:
        gap = (stamp - self.end) / 1e9 if self.end else 0.0
        missing = min(round(gap * COLUMNS_PER_SECOND), self._columns)
        if missing * HOP > FRAME:
            silence = np.full((missing, BANDS), FLOOR_DB, np.float32)
            self._frames = np.concatenate([self._frames, silence])
            self._tail = np.zeros(0, np.float32)
        elif gap < -1.0:  # the clock was set back, or a recording starts over
            self._cues.clear()
