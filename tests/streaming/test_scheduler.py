"""Whose turn it is: by deadline, nobody starves, and an error ends nothing."""

import itertools
import threading
import time

import pytest

from imagebind_node.errors import InvalidInputError
from imagebind_node.streaming.scheduler import Scheduler

PATIENCE = 30.0


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


@pytest.fixture
def make():
    """Makes schedulers and stops them afterwards."""
    made = []

    def build(on_error=None):
        def fail(lane, error):
            raise AssertionError(f"{lane}: {error!r}")

        made.append(Scheduler(on_error or fail))
        return made[-1]

    yield build
    for scheduler in made:
        scheduler.stop()


def test_earliest_deadline_runs_first(make):
    scheduler, order = make(), []
    rates = {"slow": 1.0, "fast": 20.0, "middle": 5.0, "request": 0.0}
    for name, rate in rates.items():
        scheduler.add(name, rate, lambda name=name: order.append(name))
        scheduler.notify(name)
    scheduler.start()
    eventually(lambda: len(order) == 4)
    assert order == ["request", "fast", "middle", "slow"]


def test_work_runs_on_one_thread_which_is_not_the_callers(make):
    scheduler, threads = make(), []
    for name in "ab":
        scheduler.add(name, 0.0, lambda: threads.append(threading.get_ident()))
    scheduler.start()
    for _ in range(3):
        for name in "ab":
            scheduler.notify(name)
    eventually(lambda: len(threads) >= 2)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_a_slow_lane_that_always_has_data_does_not_starve_the_others(make):
    scheduler, ran = make(), {"camera": 0, "audio": 0}

    def work(name, seconds):
        time.sleep(seconds)
        ran[name] += 1
        scheduler.notify(name)

    # Together they want 3 times what one thread can give.
    scheduler.add("camera", 100.0, lambda: work("camera", 0.02), limit=False)
    scheduler.add("audio", 50.0, lambda: work("audio", 0.02), limit=False)
    scheduler.notify("camera")
    scheduler.notify("audio")
    scheduler.start()
    eventually(lambda: ran["camera"] >= 30)
    assert ran["audio"] >= ran["camera"] // 3


def test_a_burst_of_requests_does_not_starve_a_stream(make):
    scheduler, ran = make(), {"requests": 0, "camera": 0}

    def request():
        time.sleep(0.005)
        ran["requests"] += 1
        scheduler.notify("requests")

    def camera():
        ran["camera"] += 1
        scheduler.notify("camera")

    scheduler.add("requests", 0.0, request)
    scheduler.add("camera", 50.0, camera, limit=False)
    scheduler.start()
    scheduler.notify("requests")
    scheduler.notify("camera")
    eventually(lambda: ran["requests"] > 40)
    assert ran["camera"] >= 5


def test_an_error_is_reported_and_the_lanes_go_on(make):
    reported, ran = [], []
    scheduler = make(lambda lane, error: reported.append((lane, str(error))))

    def bad():
        raise InvalidInputError("no picture")

    scheduler.add("bad", 0.0, bad)
    scheduler.add("good", 0.0, lambda: ran.append(1))
    scheduler.start()
    scheduler.notify("bad")
    scheduler.notify("good")
    eventually(lambda: ran)
    scheduler.notify("bad")
    eventually(lambda: len(reported) == 2)
    assert reported[0] == ("bad", "no picture")


def test_limited_lane_keeps_its_distance(make):
    scheduler, starts = make(), []

    def work():
        starts.append(time.monotonic())
        scheduler.notify("lane")

    scheduler.add("lane", 20.0, work)
    scheduler.start()
    scheduler.notify("lane")
    eventually(lambda: len(starts) == 6)
    # A little less than 0.05: on a busy machine the note is taken later than the start.
    assert min(b - a for a, b in itertools.pairwise(starts)) >= 0.03


def test_stop_waits_for_the_running_work_and_forgets_the_rest(make):
    scheduler, entered, release, ran = make(), threading.Event(), threading.Event(), []

    def long_work():
        entered.set()
        release.wait(PATIENCE)
        ran.append("long")

    scheduler.add("long", 0.0, long_work)
    scheduler.add("later", 0.0, lambda: ran.append("later"))
    scheduler.start()
    scheduler.notify("long")
    assert entered.wait(PATIENCE)
    scheduler.notify("later")
    stopper = threading.Thread(target=scheduler.stop)
    stopper.start()
    assert ran == []
    release.set()
    stopper.join(PATIENCE)
    assert ran == ["long"]


def test_can_start_again(make):
    scheduler, ran = make(), []
    scheduler.add("lane", 0.0, lambda: ran.append(1))
    for _ in range(2):
        scheduler.start()
        scheduler.notify("lane")
        count = len(ran)
        eventually(lambda count=count: len(ran) > count)
        scheduler.stop()
    assert scheduler.times("lane").count == 2


def overloaded(make, rates, cost, seconds):
    """Lanes that are notified at their rates while every piece of work takes `cost` s: runs and longest waits."""
    scheduler, ran = make(), {name: [] for name in rates}

    def work(name):
        time.sleep(cost)
        ran[name].append(time.monotonic())

    for name, rate in rates.items():
        scheduler.add(name, rate, lambda name=name: work(name), limit=False)
    scheduler.start()
    begin = time.monotonic()
    due = dict.fromkeys(rates, begin)
    while (now := time.monotonic()) < begin + seconds:
        for name, rate in rates.items():
            if now >= due[name]:
                due[name] += 1 / rate
                scheduler.notify(name)
        time.sleep(0.001)
    scheduler.stop()
    return ran


RATES = {"vision": 60.0, "audio": 40.0, "depth": 40.0, "thermal": 40.0, "imu": 20.0}


def test_at_ten_times_the_load_every_lane_keeps_its_share_and_nobody_waits_for_ever(make):
    # 200 pieces of 50 ms a second are wanted of one thread: ten times what it can do.
    ran = overloaded(make, RATES, 0.05, 5.0)
    total = sum(map(len, ran.values()))
    for name, rate in RATES.items():
        share = len(ran[name]) / total
        wanted = rate / sum(RATES.values())
        assert wanted * 0.6 - 0.01 < share < wanted * 1.5 + 0.02, (name, share, wanted)
        # Between two turns of a lane, the others have at most theirs and one more each.
        most = sum(RATES.values()) / rate + len(RATES)
        order = sorted((t, n) for n, times in ran.items() for t in times)
        turns = [i for i, (_, n) in enumerate(order) if n == name]
        assert max(b - a for a, b in itertools.pairwise(turns)) <= most


def test_a_lane_that_joins_late_is_not_behind_those_that_are_overloaded(make):
    scheduler, order = make(), []

    def camera():
        time.sleep(0.005)
        order.append("camera")
        scheduler.notify("camera")

    scheduler.add("camera", 10.0, camera, limit=False)
    scheduler.add("late", 10.0, lambda: order.append("late"), limit=False)
    scheduler.start()
    scheduler.notify("camera")
    eventually(lambda: len(order) > 40)
    before = len(order)
    scheduler.notify("late")
    eventually(lambda: "late" in order)
    assert order.index("late") - before <= 3
