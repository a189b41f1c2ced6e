"""Two motion sensors as one, and a device's clock on ours."""

import numpy as np
import pytest

from imagebind_node.errors import DeviceError
from imagebind_node.sensors.device_clock import DeviceClock
from imagebind_node.sensors.inertial import ImuReading, ReadingQueue, UnitedImu

MS = 1_000_000
TURN = (0.1, 0.2, 0.3)


def test_acceleration_is_interpolated_to_the_gyroscope():
    united = UnitedImu()
    united.acceleration(10 * MS, (0.0, 0.0, 10.0))
    for moment in (12, 14, 18):
        united.turn_rate(moment * MS, TURN)
    ready = united.acceleration(20 * MS, (1.0, -2.0, 10.0))
    assert [reading.stamp for reading in ready] == [12 * MS, 14 * MS, 18 * MS]
    assert ready[1].acceleration == pytest.approx((0.4, -0.8, 10.0))
    assert ready[1].turn_rate == TURN
    assert united.dropped == 0


def test_what_has_no_neighbours_is_dropped_and_counted():
    united = UnitedImu(max_gap=0.05)
    united.turn_rate(1 * MS, TURN)
    assert united.acceleration(2 * MS, (0, 0, 9.8)) == []
    united.turn_rate(10 * MS, TURN)
    assert united.acceleration(90 * MS, (0, 0, 9.8)) == [], "80 ms are no neighbourhood"
    assert united.dropped == 2
    for moment in range(100, 400, 10):
        united.turn_rate(moment * MS, TURN)
    assert united.dropped > 20, "without acceleration nothing piles up"


def test_repeated_and_reordered_measurements_are_dropped():
    united = UnitedImu()
    united.acceleration(0, (0, 0, 9.8))
    for moment in (5, 5, 4):
        united.turn_rate(moment * MS, TURN)
    assert len(united.acceleration(10 * MS, (0, 0, 9.8))) == 1
    assert united.acceleration(10 * MS, (0, 0, 9.8)) == []
    assert united.dropped == 3


def test_a_clock_set_back_starts_afresh():
    united = UnitedImu()
    for start in (10_000_000 * MS, 0):
        united.acceleration(start, (0, 0, 9.8))
        united.turn_rate(start + 5 * MS, TURN)
        united.acceleration(start + 10 * MS, (0, 0, 9.8))
        united.turn_rate(start + 15 * MS, TURN)
        assert len(united.acceleration(start + 20 * MS, (0, 0, 9.8))) >= 1


def test_readings_that_nobody_takes_are_counted():
    readings = ReadingQueue(size=3)
    for moment in range(5):
        readings.put(ImuReading(moment, TURN, TURN))
    assert readings.dropped == 2
    assert [readings.get(0.1, str).stamp for _ in range(3)] == [2, 3, 4]
    with pytest.raises(DeviceError, match="nothing"):
        readings.get(0.01, lambda: "nothing")
    for moment in range(3):
        readings.put(ImuReading(moment, TURN, TURN))
    assert readings.newest(0.1, str).stamp == 2


def test_device_time_is_mapped_by_the_smallest_delay():
    rng = np.random.default_rng(0)
    clock = DeviceClock()
    device = np.arange(2000) * 5 * MS
    drift = 1 + 20e-6
    true = 10**18 + (device * drift).astype(np.int64)
    delay = (2 + rng.exponential(5, 2000)) * MS
    stamps = np.array([clock.stamp(int(d), int(t + w)) for d, t, w in zip(device, true, delay)])
    error = (stamps - true)[200:] / MS
    assert clock.restarts == 0
    assert error.min() >= 0
    # The delay itself is 2 ms at least and 7 ms in the mean, and jitters by 5 ms.
    assert error.mean() < 2.5
    assert error.std() < 0.5


def test_a_clock_that_jumps_restarts_the_mapping():
    clock = DeviceClock()
    clock.stamp(0, 10**18)
    hour = 3600 * 10**9
    assert clock.stamp(5 * MS, 10**18 + hour) == 10**18 + hour
    assert clock.stamp(10 * MS, 10**18 + 5 * MS - hour) == 10**18 + 5 * MS - hour
    assert clock.restarts == 2
