"""Stamps of sound blocks: as regular as the samples, and true to the clock."""

import numpy as np
import pytest

from imagebind_node.sensors.sample_clock import SampleClock

RATE, FRAMES = 16000, 320


def run(true_rate, jitter_ms, seconds=120, seed=0):
    """Stamp blocks of a card that runs at `true_rate`; returns (stamps, true times) in ns."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE / FRAMES)
    true = 1e18 + np.arange(count) * FRAMES / true_rate * 1e9
    measured = true + rng.normal(0, jitter_ms * 1e6, count)
    clock = SampleClock(RATE)
    stamps = np.array([clock.stamp(int(m), FRAMES) for m in measured], np.int64)
    assert clock.restarts == 0
    return stamps, true


def test_jitter_is_smoothed():
    stamps, true = run(RATE, jitter_ms=3.0)
    settled = slice(1000, None)
    error = (stamps - true)[settled] / 1e6
    assert np.abs(error).max() < 3.0
    assert error.std() < 0.8
    intervals = np.diff(stamps)[settled] / 1e6
    assert np.abs(intervals - 20.0).max() < 1.0


@pytest.mark.parametrize("ppm", [-200, 200])
def test_drift_of_the_card_is_followed(ppm):
    stamps, true = run(RATE * (1 + ppm * 1e-6), jitter_ms=1.0, seconds=300)
    # Uncorrected, 200 ppm are 60 ms after 300 s.
    assert np.abs((stamps - true)[-1000:] / 1e6).max() < 2.0


@pytest.mark.parametrize("jump_seconds", [3600.0, -3600.0, 0.5])
def test_a_jump_of_the_clock_is_followed_at_once(jump_seconds):
    clock = SampleClock(RATE)
    now = 10**18
    for _ in range(500):
        clock.stamp(now, FRAMES)
        now += 20_000_000
    now += round(jump_seconds * 1e9)
    assert clock.stamp(now, FRAMES) == now
    assert clock.restarts == 1
    assert clock.stamp(now + 20_000_000, FRAMES) == pytest.approx(now + 20_000_000, abs=1e5)
