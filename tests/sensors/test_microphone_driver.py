"""The microphone driver on a real sound system (PortAudio, ALSA, PulseAudio)."""

import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import chirp, correlate

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.microphone import Microphone, MicrophoneConfig, parse_channels

RATE = 16000
PATIENCE = 40.0


def read_seconds(microphone, seconds, patience=PATIENCE):
    """Blocks that together last `seconds`."""
    blocks, frames = [], 0
    while frames < seconds * RATE:
        blocks.append(microphone.read(patience))
        frames += len(blocks[-1].sample.data)
    return blocks


def contains(heard, sound):
    """True if `sound` is in `heard` without a lost or repeated sample."""
    first = int(np.abs(correlate(heard, sound, mode="valid")).argmax())
    part = heard[first : first + len(sound)]
    # Half a second at a time: a lost or repeated sample would shift all that follows.
    pieces = [slice(begin, begin + RATE // 2) for begin in range(0, len(sound), RATE // 2)]
    return all(np.corrcoef(part[piece], sound[piece])[0, 1] > 0.99 for piece in pieces)


@pytest.mark.timeout(300)
def test_hears_what_is_played_without_a_gap(virtual_microphone):
    t = np.arange(2 * RATE) / RATE
    sound = (0.3 * chirp(t, 200, 2, 4000)).astype(np.float32)
    blocks = []
    with Microphone(MicrophoneConfig(block_ms=20.0)) as microphone:
        microphone.read(PATIENCE)
        # On a busy machine the sound server may run dry while playing: one whole playing shows that we drop nothing.
        for _ in range(5):
            player = virtual_microphone.play(sound)
            played = read_seconds(microphone, 5.0)
            blocks += played
            player.wait(PATIENCE)
            if contains(np.concatenate([block.sample.data for block in played]), sound):
                break
        else:
            pytest.fail("the sound never came out whole")
        assert microphone.stats.state == "streaming"
    for one, two in pairwise(blocks):
        assert two.sequence == one.sequence + len(one.sample.data)
        assert two.sample.stamp > one.sample.stamp
    span = (blocks[-1].sample.stamp - blocks[0].sample.stamp) / 1e9
    frames = blocks[-1].sequence - blocks[0].sequence
    assert span == pytest.approx(frames / RATE, abs=0.1)
    assert abs(time.time_ns() - blocks[-1].sample.stamp) < 5e9


@pytest.mark.timeout(300)
def test_comes_back_after_the_device_was_unplugged(virtual_microphone):
    with Microphone(MicrophoneConfig()) as microphone:
        before = microphone.read(PATIENCE)
        virtual_microphone.unplug()
        deadline = time.monotonic() + PATIENCE
        while microphone.stats.state != "lost":
            assert time.monotonic() < deadline, microphone.stats
            time.sleep(0.05)
        with pytest.raises(DeviceError, match="delivers no sound"):
            read_seconds(microphone, 60.0, patience=0.2)
        virtual_microphone.start()
        after = microphone.read(PATIENCE)
        assert microphone.stats.opened >= 2
        assert after.sequence > before.sequence
        assert after.sample.stamp > before.sample.stamp


TONES = (440, 1000)


def tones_in(samples):
    """Which of TONES are in the sound (N,), by their share of its power."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return [tone for tone in TONES if power[np.abs(hertz - tone) < 20].sum() > 0.2 * power[hertz > 50].sum()]


@pytest.fixture
def two_tones(stereo_microphone):
    """A lower tone on the left channel, a higher one on the right."""
    t = np.arange(60 * RATE) / RATE
    player = stereo_microphone.play(np.stack([0.3 * np.sin(2 * np.pi * tone * t) for tone in TONES], 1))
    yield
    player.kill()
    player.wait()


def heard(**settings):
    """One second of sound, once there is any."""
    with Microphone(MicrophoneConfig(**settings)) as microphone:
        deadline = time.monotonic() + PATIENCE
        while np.abs(microphone.read(PATIENCE).sample.data).max() < 0.1:
            assert time.monotonic() < deadline, "silence"
        return np.concatenate([block.sample.data for block in read_seconds(microphone, 1.0)])


@pytest.mark.timeout(300)
def test_channels_are_selected_in_their_order_and_mixed(two_tones):
    both = heard(channels=2)
    assert [tones_in(channel) for channel in both.T] == [[440], [1000]]
    right = heard(channels=2, select=(1,))
    assert right.ndim == 1 and tones_in(right) == [1000]
    assert [tones_in(channel) for channel in heard(channels=2, select=(1, 0)).T] == [[1000], [440]]
    mean = heard(channels=2, downmix=True)
    assert mean.ndim == 1 and tones_in(mean) == [440, 1000]
    # The mean of two tones of 0.3 that are not in step, which a sum would exceed.
    assert 0.25 < np.abs(mean).max() < 0.35


def test_devices_by_number_and_by_part_of_a_name(virtual_microphone):
    import sounddevice

    with Microphone(MicrophoneConfig(device="puls")) as microphone:
        microphone.read(PATIENCE)
        names = [device["name"] for device in sounddevice.query_devices()]
    with Microphone(MicrophoneConfig(device=str(names.index("default")))) as microphone:
        assert microphone.read(PATIENCE).sample.sample_rate == RATE
    with (
        Microphone(MicrophoneConfig(device="pulse", channels=64)) as microphone,
        pytest.raises(DeviceError, match="asked for 64"),
    ):
        read_seconds(microphone, 60.0, patience=0.5)


def test_overruns_are_counted_and_leave_a_jump():
    """The flag of PortAudio as its callback hands it on: the virtual microphone's buffers hold a minute, and never
    overrun."""
    microphone = Microphone(MicrophoneConfig())
    stop, stamp = threading.Event(), 10**18
    for overrun in (False, False, True, False):
        # A tenth of a second is lost in front of the third block.
        stamp += 20_000_000 + overrun * 100_000_000
        microphone._raw.put((np.zeros((320, 1), np.float32), stamp, overrun))
    microphone._raw.put(None)
    with pytest.raises(DeviceError, match="closed by the system"):
        microphone._deliver(stop, RATE)
    blocks = [microphone.read(0.0) for _ in range(4)]
    assert [block.sequence for block in blocks] == [0, 320, 640 + 1600, 640 + 1600 + 320]
    assert (microphone.overruns, microphone.stats.lost, microphone.stats.received) == (1, 1600, 4 * 320)


def test_unknown_device_is_named_and_closing_is_quick(virtual_microphone):
    with Microphone(MicrophoneConfig(device="no such device")) as microphone:
        with pytest.raises(DeviceError, match="no such device"):
            microphone.read(1.0)
        deadline = time.monotonic() + PATIENCE
        while microphone.stats.state != "lost":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started = time.monotonic()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"channels": 0}, "microphone needs"),
        ({"block_ms": 0.0}, "microphone needs"),
        ({"block_ms": 5000.0}, "microphone needs"),
        ({"channels": 2, "select": (2,)}, "captures 2 channels, numbered from 0: cannot select 2"),
        ({"channels": 2, "select": (-1,)}, "cannot select -1"),
        ({"channels": 2, "select": (1, 1)}, "name none twice"),
    ],
)
def test_impossible_settings_are_refused(wrong, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        Microphone(MicrophoneConfig(**wrong))


def test_channel_numbers_of_a_text():
    assert parse_channels("") == ()
    assert parse_channels(" 3, 0") == (3, 0)
    for wrong in ("left", "0;1", "1,", "0.5"):
        with pytest.raises(InvalidInputError, match="separated by commas"):
            parse_channels(wrong)
