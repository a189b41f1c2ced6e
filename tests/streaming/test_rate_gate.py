"""Thinning by refusal: the right share passes, and nothing waits."""

import pytest

from imagebind_node.streaming.rate_gate import RateGate


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def admitted(gate, clock, times):
    passed = []
    for when in times:
        clock.now = when
        if gate.admit():
            passed.append(when)
    return passed


@pytest.mark.parametrize(("camera", "limit"), [(30.0, 15.0), (20.0, 15.0), (60.0, 7.0), (15.01, 15.0)])
def test_average_rate_is_the_limit(camera, limit):
    clock = Clock()
    gate = RateGate(limit, clock)
    seconds = 60
    passed = admitted(gate, clock, [i / camera for i in range(int(seconds * camera))])
    assert len(passed) / seconds == pytest.approx(limit, rel=0.03)
    assert len(passed) + gate.refused == int(seconds * camera)


def test_a_camera_at_the_limit_passes_whole_in_spite_of_jitter():
    clock = Clock()
    gate = RateGate(15.0, clock)
    jitter = [0.0, 0.012, -0.015, 0.008, -0.005, 0.014, -0.012]
    times = [(i + 1) / 15 + jitter[i % len(jitter)] for i in range(900)]
    assert len(admitted(gate, clock, times)) == 900


def test_no_limit():
    clock = Clock()
    assert len(admitted(RateGate(0.0, clock), clock, [0.0] * 50)) == 50


def test_a_pause_saves_up_no_burst():
    clock = Clock()
    gate = RateGate(10.0, clock)
    assert len(admitted(gate, clock, [100.0] * 20)) == 1
