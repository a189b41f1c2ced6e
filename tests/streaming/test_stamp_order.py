"""Repeated, late and jumping stamps are told apart, whatever comes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from imagebind_node.streaming.stamp_order import StampOrder, Step

START, SECOND = 1_700_000_000_000_000_000, 1_000_000_000
HOUR = 3600 * SECOND


def judged(*stamps):
    order = StampOrder()
    return order, [order.judge(stamp) for stamp in stamps]


def test_each_kind_of_step():
    order, steps = judged(START, START + 5, START + 5, START + 3, START + 6, START + 2 * SECOND)
    assert steps == [Step.NEXT, Step.NEXT, Step.REPEATED, Step.REORDERED, Step.NEXT, Step.NEXT]
    assert (order.repeated, order.reordered, order.dropped, order.jumps) == (1, 1, 2, 0)


def test_an_hour_either_way_is_a_clock_that_was_set_and_order_goes_on_from_there():
    order, steps = judged(START, START + HOUR, START + HOUR + 1, START, START + 1)
    assert steps == [Step.NEXT, Step.JUMP, Step.NEXT, Step.JUMP, Step.NEXT]
    assert order.jumps == 2 and order.dropped == 0


def test_samples_without_a_stamp_are_all_next():
    assert judged(0, 0, START, 0, START + 1)[1] == [Step.NEXT] * 5


def test_a_clock_that_steps_back_a_little_costs_four_samples():
    back = [START - SECOND // 2 + i for i in range(10)]
    order, steps = judged(START, *back)
    assert steps[1:] == [Step.REORDERED] * 4 + [Step.JUMP] + [Step.NEXT] * 5
    assert (order.jumps, order.dropping) == (1, False)


def test_late_samples_between_newer_ones_stay_late():
    stamps = [START + 10 * i - (15 if i % 2 else 0) for i in range(1, 40)]
    order, steps = judged(*stamps)
    assert Step.JUMP not in steps and order.reordered > 15


def test_one_late_sample_over_and_over_is_never_taken_for_a_stream():
    order, steps = judged(START, *[START - 5] * 50)
    assert steps[1:] == [Step.REORDERED] * 50
    assert order.dropping


@given(st.lists(st.integers(0, 2**62), max_size=50))
def test_what_is_kept_never_repeats_and_steps_back_by_jumps_only(stamps):
    order = StampOrder()
    steps = [order.judge(s) for s in stamps]
    kept = [(s, step) for s, step in zip(stamps, steps) if step in (Step.NEXT, Step.JUMP) and s]
    assert all(b != a and (b > a or step is Step.JUMP) for (a, _), (b, step) in pairwise(kept))
    assert len(kept) + order.dropped == sum(s > 0 for s in stamps)
