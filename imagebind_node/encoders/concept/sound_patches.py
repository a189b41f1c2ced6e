"""A whole sound as the patches that YAMNet hears; a stream makes its own, see `log_mel.StreamingLogMel`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd

import numpy as np
import torch

from imagebind_node.encoders.concept import log_mel
from imagebind_node.samples import AudioSample


def sound_patches(sample: AudioSample, rates: Sequence[float] = (1.0,)) -> torch.Tensor:
    """Log-mel patches float32 (P, 96, 64) of a sound of any length.

    rates: how fast it is played, 1 as recorded; the patches of all of them follow each other. The network's guesses
    vary with pitch and tempo where the maker of a sound does not: the mean over a few rates is surer. A sound of
    exactly one window (0.975 s), as streams and recordings are cut into, is played once, as recorded.
    """
    signal = at_model_rate(sample)
    # Resampling rounds the length by one sample.
    if abs(len(signal) - log_mel.PATCH_SAMPLES) <= 1:
        signal, rates = signal[: log_mel.PATCH_SAMPLES], (1.0,)
    return torch.cat([log_mel.patches(_at_least_a_patch(played(signal, rate))) for rate in rates])


def _at_least_a_patch(signal: np.ndarray) -> np.ndarray:
    """A short sound is repeated: the network never heard one that is followed by digital silence."""
    if len(signal) >= log_mel.PATCH_SAMPLES:
        return signal
    return np.resize(signal, log_mel.PATCH_SAMPLES)


def played(signal: np.ndarray, rate: float) -> np.ndarray:
    """float32 (N,) -> (N / rate,): faster and higher for rates over 1; the rate is rounded to hundredths."""
    if rate == 1.0:
        return signal
    from scipy.signal import resample_poly

    exact = Fraction(rate).limit_denominator(100)
    return resample_poly(signal, exact.denominator, exact.numerator).astype(np.float32)


def at_model_rate(sample: AudioSample) -> np.ndarray:
    """Sound of any rate and channel count -> float32 (N,) at 16 kHz, channels averaged."""
    signal = sample.data if sample.data.ndim == 1 else sample.data.mean(1, dtype=np.float32)
    if sample.sample_rate == log_mel.SAMPLE_RATE:
        return signal
    # Not needed for sound at the model's rate, and half a second to import.
    from scipy.signal import resample_poly

    common = gcd(sample.sample_rate, log_mel.SAMPLE_RATE)
    resampled = resample_poly(signal, log_mel.SAMPLE_RATE // common, sample.sample_rate // common)
    return resampled.astype(np.float32)
