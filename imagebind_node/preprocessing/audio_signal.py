"""Channels and sample rates of sound; no torch, so that drivers and command line tools may use it."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np

from imagebind_node.errors import InvalidInputError

LOWPASS_WIDTH = 6
"""Zero crossings of the sinc kept on each side."""
ROLLOFF = 0.99
"""Cut-off as a fraction of the lower Nyquist frequency."""
MAX_RATE = 768_000


def to_mono(data: np.ndarray) -> np.ndarray:
    """Average the channels: float (N,) or (N, channels) -> float32 (N,). Mono comes back without a copy."""
    if data.ndim == 1:
        return data.astype(np.float32, copy=False)
    if data.ndim != 2 or data.shape[1] == 0:
        raise InvalidInputError(f"audio must have shape (N,) or (N, channels), got {data.shape}")
    return data.mean(axis=1, dtype=np.float32)


def _ratio(rate_in: int, rate_out: int) -> tuple[int, int]:
    for rate in (rate_in, rate_out):
        if not (float(rate).is_integer() and 1 <= rate <= MAX_RATE):
            raise InvalidInputError(f"sample rate must be a whole number from 1 to {MAX_RATE} Hz, got {rate}")
    divisor = gcd(int(rate_in), int(rate_out))
    return int(rate_out) // divisor, int(rate_in) // divisor


@lru_cache(maxsize=4)
def _kernel(up: int, down: int) -> np.ndarray:
    """Low-pass of the conversion at the rate up * input: a sinc under a Hann window, float64, odd length.

    J. O. Smith, Digital Audio Resampling; the width and cut-off are those that ImageBind's own audio loader gets
    from its library's defaults, so that mel spectrograms agree with the original's.
    """
    cutoff = min(up, down) * ROLLOFF
    half = int(np.ceil(LOWPASS_WIDTH * up * down / cutoff))
    crossings = np.arange(-half, half + 1) * cutoff / (up * down)
    crossings = np.clip(crossings, -LOWPASS_WIDTH, LOWPASS_WIDTH)
    window = np.cos(np.pi * crossings / (2 * LOWPASS_WIDTH)) ** 2
    return np.sinc(crossings) * window * (cutoff / (up * down))


def resample(data: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Change the sample rate along the first axis: float (N, ...) at rate_in Hz -> float32 (ceil(N*out/in), ...).

    Polyphase windowed sinc, zero phase, silence assumed beyond both ends. Frequencies above the lower Nyquist
    frequency are removed. Raises InvalidInputError unless the rates are whole numbers from 1 to 768000 Hz.
    """
    up, down = _ratio(rate_in, rate_out)
    if up == down:
        return data.astype(np.float32, copy=False)
    # Imported where it is used: scipy.signal takes half a second, which sound at the right rate need not pay.

    # Imported here, since it takes as long as all the rest and sound at the model's rate never needs it.
    from scipy.signal import resample_poly

    # float64 inside: phases of large ratios would otherwise lose the last digits that the log-mel makes visible.
    return resample_poly(data.astype(np.float64), up, down, axis=0, window=_kernel(up, down)).astype(
        np.float32
    )


class StreamResampler:
    """`resample` for an endless mono signal: the blocks put together equal the whole, however it is cut.

    Output lags by half the kernel (6 periods of the lower rate: 0.4 ms at 16 kHz), since the future is needed
    for zero phase. Not thread-safe.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """Rates in Hz; raises InvalidInputError unless whole numbers from 1 to 768000."""
        self._up, self._down = _ratio(rate_in, rate_out)
        self.rate_in, self.rate_out = int(rate_in), int(rate_out)
        if self._up == self._down:
            return
        kernel = _kernel(self._up, self._down)
        half = len(kernel) // 2
        # Phase p multiplies input sample j (counted from the newest that reaches the output) by kernel[p + j*up].
        self._taps = -(-len(kernel) // self._up)
        padded = np.zeros(self._taps * self._up)
        padded[: len(kernel)] = kernel
        # Reversed, so that a row lines up with ascending input samples.
        self._phases = np.ascontiguousarray(padded.reshape(self._taps, self._up).T[:, ::-1]) * self._up
        self._half = half
        self.reset()

    def reset(self) -> None:
        """Forget the past, after a gap in the signal."""
        if self._up == self._down:
            return
        self._history = np.zeros(self._taps - 1)
        self._first = -(self._taps - 1)
        self._next_output = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Append float32 (N,) samples at rate_in; return float32 (M,) at rate_out, M from 0 up."""
        if samples.ndim != 1:
            raise InvalidInputError(f"push() takes mono samples of shape (N,), got {samples.shape}")
        if self._up == self._down:
            return samples.astype(np.float32, copy=False)
        history = np.concatenate([self._history, samples])
        end = self._first + len(history)
        # Output m needs inputs up to (m * down + half) // up; all of them must be here.
        last = (end * self._up - 1 - self._half) // self._down
        outputs = np.arange(self._next_output, last + 1)
        if len(outputs) == 0:
            self._history = history
            return np.zeros(0, np.float32)
        newest, phase = np.divmod(outputs * self._down + self._half, self._up)
        windows = np.lib.stride_tricks.sliding_window_view(history, self._taps)
        result = (windows[newest - self._taps + 1 - self._first] * self._phases[phase]).sum(axis=1)
        self._next_output = last + 1
        oldest = (self._next_output * self._down + self._half) // self._up - self._taps + 1
        keep = max(0, min(oldest - self._first, len(history)))
        self._history, self._first = history[keep:].copy(), self._first + keep
        return result.astype(np.float32)
