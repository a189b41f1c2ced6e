"""The serial IMU driver on a real tty: a pair of pseudo-terminals, with pyserial on one end."""

import os
import pty
import threading
import time
import tty
from functools import reduce
from operator import xor

import numpy as np
import pytest

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.imu import SerialImu, SerialImuConfig, parse_line

pytest.importorskip("serial", reason="needs the extra serial")
PATIENCE = 40.0


class Board:
    """What sits at the other end of the line. `link` is a path that stays when the board is plugged in anew."""

    def __init__(self, link):
        self.link = link
        self.plug_in()

    def plug_in(self):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.slave))

    def unplug(self):
        self.link.unlink()
        os.close(self.slave)
        os.close(self.master)

    def send(self, data):
        os.write(self.master, data)


@pytest.fixture
def board(tmp_path):
    made = Board(tmp_path / "ttyIMU")
    yield made
    made.unplug()


def line(index, stamped=True):
    values = [index * 0.005] if stamped else []
    values += [0.0, 0.1, 9.81, 0.001 * index, 0.0, -0.2]
    return ",".join(f"{value:.6f}" for value in values).encode()


def with_checksum(body):
    return body + b"*%02X" % reduce(xor, body, 0)


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def talk(board, stop, pause=0.005, **options):
    """Lines at 200 Hz from a thread, with the sensor's own time."""

    def run():
        index = 0
        start = time.monotonic()
        while not stop.wait(max(0.0, start + index * pause - time.monotonic())):
            board.send(line(index, **options) + b"\r\n")
            index += 1

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def collect(imu, count):
    return [imu.read(PATIENCE) for _ in range(count)]


def test_every_line_arrives_stamped_by_the_sensors_clock(board):
    stop = threading.Event()
    with SerialImu(SerialImuConfig(port=str(board.link))) as imu:
        thread = talk(board, stop)
        readings = collect(imu, 300)
        stop.set()
        thread.join()
        assert imu.malformed == 0
    rates = np.array([reading.turn_rate[0] for reading in readings])
    np.testing.assert_allclose(np.diff(rates), 0.001, atol=1e-9, err_msg="a lost or repeated line")
    steps = np.diff([reading.stamp for reading in readings]) / 1e6
    assert np.median(np.abs(steps - 5.0)) < 0.05
    assert readings[-1].acceleration == (0.0, 0.1, 9.81)
    assert abs(time.time_ns() - readings[-1].stamp) < PATIENCE * 1e9


def test_without_a_clock_of_its_own_the_time_of_arrival_counts(board):
    with SerialImu(SerialImuConfig(port=str(board.link), baud_rate=9600)) as imu:
        wait_for(lambda: imu.stats.opened, "opening")
        # Fifty lines in one piece, as a USB adapter hands them over: each took its time on the wire.
        board.send(b"".join(line(index, stamped=False) + b"\n" for index in range(51)))
        readings = collect(imu, 50)
    stamps = [reading.stamp for reading in readings]
    assert stamps == sorted(set(stamps))
    on_the_wire = len(line(5, stamped=False) + b"\n") * 10 / 9600
    assert np.median(np.diff(stamps)) / 1e9 == pytest.approx(on_the_wire, rel=0.05)


def test_units_are_converted(board):
    config = SerialImuConfig(port=str(board.link), acceleration_unit="g", turn_rate_unit="deg/s")
    with SerialImu(config) as imu:
        wait_for(lambda: imu.stats.opened, "opening")
        board.send(b"# header\n 0, 0, 1, 180, 0, -90\n")
        reading = imu.read(PATIENCE)
    assert reading.acceleration == pytest.approx((0, 0, 9.80665))
    assert reading.turn_rate == pytest.approx((np.pi, 0, -np.pi / 2))


def test_malformed_lines_are_counted_and_the_others_arrive(board):
    bad = [b"1,2,3", b"hello", b"1,2,3,4,5,nan", b"\xff\xfe\x00", with_checksum(line(1))[:-2] + b"00"]
    with SerialImu(SerialImuConfig(port=str(board.link))) as imu:
        wait_for(lambda: imu.stats.opened, "opening")
        board.send(b"half a line\n")
        for index, wrong in enumerate(bad):
            board.send(wrong + b"\n" + with_checksum(line(index + 1)) + b"\n")
        readings = collect(imu, len(bad))
        board.send(b"x" * 600)
        wait_for(lambda: imu.malformed == len(bad) + 1, "the endless line")
        board.send(b"\n" + line(20) + b"\n")
        assert imu.read(PATIENCE).turn_rate[0] == pytest.approx(0.02)
    assert [round(reading.turn_rate[0] * 1000) for reading in readings] == [1, 2, 3, 4, 5]


def test_survives_being_unplugged(board):
    with SerialImu(SerialImuConfig(port=str(board.link))) as imu:
        stop = threading.Event()
        thread = talk(board, stop)
        collect(imu, 20)
        stop.set()
        thread.join()
        board.unplug()
        wait_for(lambda: imu.stats.state == "lost", "the loss")
        board.plug_in()
        stop = threading.Event()
        thread = talk(board, stop)
        wait_for(lambda: imu.stats.opened >= 2 and imu.stats.state == "streaming", "its return")
        reading = imu.read_latest(PATIENCE)
        stop.set()
        thread.join()
    assert abs(time.time_ns() - reading.stamp) < PATIENCE * 1e9


def test_a_silent_sensor_counts_as_lost(board):
    with SerialImu(SerialImuConfig(port=str(board.link))) as imu:
        wait_for(lambda: imu.stats.state == "lost", "the loss")
        assert "stopped delivering" in imu.stats.last_error
        with pytest.raises(DeviceError, match="delivers no measurement"):
            imu.read(0.05)


def test_a_missing_port_is_named():
    with SerialImu(SerialImuConfig(port="/dev/ttyNOWHERE")) as imu:
        wait_for(lambda: imu.stats.state == "lost", "an error")
        assert "/dev/ttyNOWHERE" in imu.stats.last_error


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"acceleration_unit": "mg"}, "unknown unit 'mg'"),
        ({"port": " "}, "give a port"),
        ({"baud_rate": 0}, "baud rate"),
    ],
)
def test_impossible_settings_are_refused(wrong, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        SerialImu(SerialImuConfig(**wrong))


@pytest.mark.parametrize(
    "text", [b"", b",", b"1,2,3,4,5", b"1,2,3,4,5,6,7,8", b"1,2,3,4,5,inf", b"1,2,3,4,5,6*ZZ"]
)
def test_lines_that_are_none(text):
    with pytest.raises(InvalidInputError):
        parse_line(text)
