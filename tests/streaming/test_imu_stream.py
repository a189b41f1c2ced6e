"""Windows of inertial measurements: any rate, nothing across a gap, and every dropped measurement counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.streaming.imu_stream import ImuStream

START = 1_700_000_000_000_000_000
STILL = (0.1, 0.2, 9.8, 0.0, 0.0, 0.0)


def feed(stream, stamps):
    """Push at the given seconds from START; the windows that came out."""
    found = []
    for stamp in stamps:
        if stream.push(START + round(stamp * 1e9), STILL):
            found.append(stream.next_window("imu"))
    return found


@pytest.mark.parametrize("rate", [25.0, 50.0, 200.0, 1000.0])
def test_windows_slide_by_the_hop_at_any_rate(rate):
    found = feed(ImuStream(2.56, 0.5), np.arange(round(5 * rate)) / rate)
    assert len(found) == 5
    ends = np.array([sample.stamp - START for sample in found]) / 1e9
    assert ends[0] == pytest.approx(2.56, abs=0.003 + 1.01 / rate)
    assert np.diff(ends) == pytest.approx(0.5, abs=0.003 + 1.01 / rate)
    for sample in found:
        assert 2.5 <= sample.times[-1] <= 2.67 and sample.frame_id == "imu"


def test_the_first_windows_grow_until_they_are_whole():
    found = feed(ImuStream(2.56, 0.5, first=0.64), np.arange(500) / 100)
    lengths = [sample.times[-1] for sample in found]
    assert lengths[:4] == pytest.approx([0.64, 1.14, 1.64, 2.14], abs=0.02)
    assert all(2.56 <= length <= 2.67 for length in lengths[4:]) and len(lengths) == 9


def test_repeated_and_reordered_measurements_are_dropped_and_counted():
    stream = ImuStream(1.0, 0.5)
    stamps = np.arange(100) / 50
    found = feed(stream, [s for stamp in stamps for s in (stamp, stamp, stamp - 0.05)])
    assert (stream.order.repeated, stream.order.reordered) == (100, 100)
    assert (stream.gaps, stream.order.jumps) == (0, 0)
    assert len(found) == 2 and all((np.diff(sample.times) > 0).all() for sample in found)


def test_no_window_spans_a_gap():
    stream = ImuStream(1.0, 0.5)
    stamps = np.concatenate([np.arange(60) / 50, 1.6 + np.arange(60) / 50])
    found = feed(stream, stamps)
    assert stream.gaps == 1 and stream.lost_seconds == pytest.approx(0.42)
    assert [round(f.times[-1], 2) <= 1.1 for f in found] == [True, True]
    assert max(np.diff(f.times).max() for f in found) == pytest.approx(0.02)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_starts_the_window_afresh_and_nothing_else(jump):
    stream = ImuStream(1.0, 0.5)
    assert len(feed(stream, np.arange(60) / 50)) == 1
    found = feed(stream, jump + np.arange(60) / 50)
    assert stream.order.jumps == 1 and stream.gaps == 0 and len(found) == 1
    assert found[0].stamp - START == pytest.approx((jump + 1.0) * 1e9, abs=3e7)


def test_hops_that_nobody_fetched_are_counted_and_the_newest_is_given():
    stream = ImuStream(1.0, 0.1)
    for stamp in np.arange(150) / 50:
        stream.push(START + round(stamp * 1e9), STILL)
    sample = stream.next_window()
    assert sample.stamp == START + round(149 / 50 * 1e9)
    assert stream.skipped_hops == 19
    assert stream.next_window() is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-7200, 7200, allow_nan=False), max_size=80))
def test_any_stamps_give_only_windows_that_are_whole(stamps):
    stream = ImuStream(0.5, 0.1)
    regular = np.arange(40) / 50
    for sample in feed(stream, [*stamps, *(8000 + regular)]):
        steps = np.diff(sample.times)
        assert (steps > 0).all() and (steps <= 0.1 + 1e-9).all()
