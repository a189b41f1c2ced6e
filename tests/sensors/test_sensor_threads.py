"""The thread that every driver runs."""

import threading
import time

from imagebind_node.sensors.base import ThreadedSensor

PATIENCE = 20.0


class Stuck(ThreadedSensor[int]):
    """Waits in its device, whatever `stop` says, as a read from a dead camera does."""

    def __init__(self):
        super().__init__("stuck")
        self.answer = threading.Event()
        self.running = []

    def _stream(self, stop):
        self.running.append(threading.current_thread())
        self.stats.opened += 1
        self.answer.wait(PATIENCE)
        # Alive again: only who may go on does.
        return stop.wait(PATIENCE)


def test_a_thread_that_outlived_close_ends_once_its_device_answers():
    sensor = Stuck()
    sensor.open()
    started = time.monotonic()
    sensor.close(timeout=0.1)
    assert time.monotonic() - started < 5
    sensor.open()
    deadline = time.monotonic() + PATIENCE
    while len(sensor.running) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sensor.answer.set()
    first, second = sensor.running
    first.join(PATIENCE)
    assert not first.is_alive() and second.is_alive()
    sensor.close()
    assert not second.is_alive()


class Faulty(ThreadedSensor[int]):
    """Raises what nobody foresaw, once."""

    def _stream(self, stop):
        self.stats.opened += 1
        if self.stats.opened == 1:
            raise RuntimeError("a library's\n surprise")
        return stop.wait(PATIENCE)


def test_what_nobody_foresaw_is_reported_and_the_device_tried_again():
    with Faulty("faulty") as sensor:
        deadline = time.monotonic() + PATIENCE
        while sensor.stats.opened < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert sensor.stats.last_error == "RuntimeError: a library's surprise"
