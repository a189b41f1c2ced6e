"""Figures for diagnostics."""

import math

import pytest

from imagebind_node.streaming.statistics import RateMeter, StageTimes


def test_percentiles_of_what_is_kept():
    times = StageTimes(keep=100)
    assert math.isnan(times.percentile(50))
    for i in range(1000):
        times.add(i / 1000)
    assert times.count == 1000
    assert times.percentile(50) == pytest.approx(0.9495)
    assert times.percentile(100) == pytest.approx(0.999)


def test_rate_and_age():
    now = [0.0]
    meter = RateMeter(window=5.0, clock=lambda: now[0])
    assert meter.rate() == 0
    assert meter.age() == math.inf
    for i in range(100):
        now[0] = i / 10
        meter.tick()
    assert meter.rate() == pytest.approx(10.0, rel=0.03)
    now[0] += 3.0
    assert meter.age() == pytest.approx(3.0)
    now[0] += 10.0
    assert meter.rate() == 0
