"""The microphone driver on a real sound system (PortAudio, ALSA, PulseAudio)."""

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import chirp, correlate

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.microphone import Microphone, MicrophoneConfig

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


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"block_ms": 0.0}, {"block_ms": 5000.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InvalidInputError, match="microphone needs"):
        Microphone(MicrophoneConfig(**wrong))
