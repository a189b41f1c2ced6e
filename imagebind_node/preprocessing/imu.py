"""Inertial measurements for the IMU tower: a fixed grid of accelerations and turn rates.

The original ships no loader for IMU data; docs/preprocessing.md says what is known and what is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImuSample

GRAVITY = 9.80665


@dataclass(frozen=True)
class ImuParameters:
    """ImageBind's paper: 5 s clips of Ego4D give 2000 steps of 6 channels, hence 400 Hz; accelerometer x, y, z in
    m/s^2 with gravity, then gyroscope x, y, z in rad/s, in the sensor's own axes. No normalisation is published;
    `mean` and `std` (6 values each) let one be set.

    max_gap_s: longest time without a measurement that is interpolated over.
    """

    rate: float = 400.0
    duration: float = 5.0
    max_gap_s: float = 0.1
    min_rate: float = 10.0
    mean: tuple[float, ...] = (0.0,) * 6
    std: tuple[float, ...] = (1.0,) * 6


IMU = ImuParameters()


def preprocess_imu(
    sample: ImuSample,
    *,
    rate: float = IMU.rate,
    duration: float = IMU.duration,
    parameters: ImuParameters = IMU,
) -> torch.Tensor:
    """ImuSample of any rate -> float32 (6, rate * duration), i.e. (6, 2000): the newest `duration` seconds.

    Linear interpolation onto the grid, after a low-pass below half of `rate` if the sensor is faster. A recording
    that is too short is continued backwards by repeating its first measurement: the newest motion stays at the
    window's end, and the padding is stillness with gravity rather than free fall (zeros).
    Raises InvalidInputError: a gap above `max_gap_s` within the window (says where), fewer than 10 measurements a
    second, rate or duration not above 0.
    """
    if not (np.isfinite(rate) and np.isfinite(duration) and rate > 0 and 2 <= rate * duration <= 1_000_000):
        raise InvalidInputError(f"IMU rate and duration must be above 0, got {rate} Hz and {duration} s")
    steps = round(rate * duration)
    # Times count from the window's end, so that large epochs lose no precision.
    times = sample.times - sample.times[-1]
    first = max(0, int(np.searchsorted(times, -duration, side="right")) - 1)
    times, data = times[first:], sample.data[first:].astype(np.float64)
    _refuse_gaps(sample.times, times, parameters)
    grid = (np.arange(steps) - (steps - 1)) / rate
    if len(times) > 1:
        data = _low_pass(times, data, rate)
    columns = np.stack([np.interp(grid, times, data[:, channel]) for channel in range(6)])
    mean, std = (np.asarray(values)[:, None] for values in (parameters.mean, parameters.std))
    return torch.from_numpy(((columns - mean) / std).astype(np.float32))


def _refuse_gaps(all_times: np.ndarray, times: np.ndarray, parameters: ImuParameters) -> None:
    steps = np.diff(times)
    if len(steps) == 0:
        return
    worst = int(np.argmax(steps))
    typical = float(np.median(steps))
    if 1.0 / typical < parameters.min_rate:
        raise InvalidInputError(
            f"IMU delivers {1.0 / typical:.1f} measurements a second, at least {parameters.min_rate:.0f} are needed: "
            "raise the driver's rate (or are the times not in seconds?)"
        )
    if steps[worst] > max(parameters.max_gap_s, 1.5 * typical):
        start = times[worst] + all_times[-1] - all_times[0]
        raise InvalidInputError(
            f"IMU has a gap of {steps[worst]:.3f} s at {start:.3f} s from its start "
            f"(longest allowed {max(parameters.max_gap_s, 1.5 * typical):.3f} s): check the driver and the transport"
        )


def _low_pass(times: np.ndarray, data: np.ndarray, rate: float) -> np.ndarray:
    """Remove what the slower grid cannot hold: vibration above half of `rate` would fold into slow motion."""
    source = (len(times) - 1) / (times[-1] - times[0])
    if source < 1.5 * rate or len(times) < 16:
        return data
    # A sinc under a Hamming window, cut off at 0.9 of the grid's Nyquist frequency; scipy.signal would have it as
    # well, but takes a second to import, just when the first window is waited for.
    half = min(round(4 * source / rate), (len(times) - 1) // 2)
    kernel = np.sinc(0.9 * rate / source * np.arange(-half, half + 1)) * np.hamming(2 * half + 1)
    kernel /= kernel.sum()
    padded = np.concatenate([np.repeat(data[:1], half, 0), data, np.repeat(data[-1:], half, 0)])
    return np.stack([np.convolve(padded[:, channel], kernel, mode="valid") for channel in range(6)], axis=1)


def check_imu(sample: ImuSample) -> list[str]:
    """Warnings about a recording that the IMU tower was not trained on (wrong unit, no gravity ...); empty if fine."""
    acceleration, turn = sample.data[:, :3].astype(np.float64), sample.data[:, 3:].astype(np.float64)
    gravity = float(np.median(np.linalg.norm(acceleration, axis=1)))
    spin = float(np.percentile(np.linalg.norm(turn, axis=1), 95))
    warnings = []
    if not acceleration.any():
        warnings.append("IMU acceleration is all zero: not measured?")
    elif 0.7 < gravity < 1.4:
        warnings.append(f"IMU acceleration has median {gravity:.2f}: given in g? multiply by {GRAVITY}")
    elif 700 < gravity < 1400:
        warnings.append(
            f"IMU acceleration has median {gravity:.0f}: given in milli-g? multiply by {GRAVITY / 1000}"
        )
    elif gravity < 5.0:
        warnings.append(
            f"IMU acceleration has median {gravity:.2f} m/s^2: gravity was removed, the model expects it"
        )
    elif gravity > 30.0:
        warnings.append(f"IMU acceleration has median {gravity:.0f} m/s^2, far above gravity: wrong unit?")
    if not turn.any():
        warnings.append("IMU turn rate is all zero: not measured?")
    elif spin > 35.0:
        warnings.append(
            f"IMU turn rate reaches {spin:.0f} rad/s: given in degrees per second? multiply by pi/180"
        )
    still = np.flatnonzero(np.ptp(sample.data, axis=0) == 0.0)
    if len(sample.data) > 20 and 0 < len(still) < 6 and acceleration.any() and turn.any():
        names = ("ax", "ay", "az", "gx", "gy", "gz")
        warnings.append(f"IMU channel {', '.join(names[i] for i in still)} never changes: stuck?")
    elapsed = float(sample.times[-1] - sample.times[0])
    source = (len(sample.times) - 1) / elapsed
    if elapsed > 3600 * 24 or source < 1.0:
        warnings.append(f"IMU times span {elapsed:.0f} s at {source:.2g} Hz: are they in seconds?")
    elif elapsed < IMU.duration - 1.5 / source:
        warnings.append(
            f"IMU recording of {elapsed:.2f} s is shorter than the model's 5 s: its start is repeated"
        )
    if 1.0 <= source < 50.0:
        warnings.append(
            f"IMU runs at {source:.0f} Hz: interpolated to {IMU.rate:.0f} Hz, fast motion is missing"
        )
    return warnings
