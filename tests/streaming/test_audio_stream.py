"""No sample lost unnoticed, whatever the blocks, rates and faults."""

import numpy as np
import pytest
import torch

from imagebind_node.samples import AudioSample
from imagebind_node.streaming.audio_stream import AudioStream

RATE = 16000
WINDOW = 4000


class Window:
    """A front end whose model input is simply the newest WINDOW samples."""

    sample_rate = RATE

    def __init__(self):
        self.reset()

    def push(self, samples):
        self.heard = np.concatenate([self.heard, samples])

    def input(self):
        if len(self.heard) < WINDOW:
            return None
        return torch.from_numpy(self.heard[-WINDOW:].copy())

    def reset(self):
        self.heard = np.zeros(0, np.float32)


@pytest.fixture
def signal():
    return np.random.default_rng(0).uniform(-1, 1, 3 * RATE).astype(np.float32)


def block(signal, first, frames, rate=RATE):
    stamp = 1_000_000_000 + round(first / rate * 1e9)
    return AudioSample(signal[first : first + frames], rate, stamp)


def test_hop_is_announced_when_it_is_complete(signal):
    stream = AudioStream(Window(), hop=0.1)
    announced = [stream.push(block(signal, i * 320, 320), i * 320) for i in range(6)]
    assert announced == [False, False, False, False, True, True]


@pytest.mark.parametrize("size", [1, 37, 320, 1600, 5000])
def test_input_does_not_depend_on_block_size(signal, size):
    stream = AudioStream(Window(), hop=0.05)
    end = 0
    for first in range(0, RATE - size + 1, size):
        stream.push(block(signal, first, size), first)
        end = first + size
    tensor, last, stamp = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[end - WINDOW : end])
    assert stamp == pytest.approx(1_000_000_000 + end / RATE * 1e9, abs=2)
    assert len(last.data) == size
    assert (stream.received_frames, stream.lost_frames) == (end, 0)


def test_nothing_before_the_first_window_is_full(signal):
    stream = AudioStream(Window(), hop=0.02)
    stream.push(block(signal, 0, WINDOW - 1), 0)
    assert stream.next_input() is None
    stream.push(block(signal, WINDOW - 1, 1), WINDOW - 1)
    assert stream.next_input() is not None


def test_a_gap_is_counted_and_never_bridged(signal):
    stream = AudioStream(Window(), hop=0.02)
    stream.push(block(signal, 0, WINDOW), 0)
    assert stream.next_input() is not None
    after = WINDOW + 777
    stream.push(block(signal, after, WINDOW - 1), after)
    assert stream.lost_frames == 777
    assert stream.next_input() is None, "a window across the gap would hold a sound that never was"
    stream.push(block(signal, after + WINDOW - 1, 1), after + WINDOW - 1)
    tensor, _, _ = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[after : after + WINDOW])


def test_a_gap_drops_what_waited_before_it(signal):
    stream = AudioStream(Window(), hop=0.02)
    stream.push(block(signal, 0, WINDOW), 0)
    stream.push(block(signal, 6000, WINDOW), 6000)
    tensor, _, _ = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[6000 : 6000 + WINDOW])


def test_repeated_block_is_ignored(signal):
    stream = AudioStream(Window(), hop=0.02)
    stream.push(block(signal, 0, 2000), 0)
    stream.push(block(signal, 2000, 2000), 2000)
    stream.push(block(signal, 2000, 2000), 2000)
    assert (stream.repeated_blocks, stream.received_frames, stream.lost_frames) == (1, 4000, 0)
    tensor, _, _ = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[:4000])


def test_a_restarted_driver_is_a_new_stream_without_loss(signal):
    stream = AudioStream(Window(), hop=0.02)
    stream.push(block(signal, 20000, 2000), 20000)
    stream.push(block(signal, 0, WINDOW), 0)
    assert (stream.lost_frames, stream.repeated_blocks) == (0, 0)
    tensor, _, _ = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[:WINDOW])


def test_backlog_is_bounded_and_counted(signal):
    stream = AudioStream(Window(), hop=0.1, max_backlog=0.5)
    for first in range(0, 2 * RATE, 1600):
        stream.push(block(signal, first, 1600), first)
    assert stream.skipped_seconds == pytest.approx(1.5)
    tensor, _, _ = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[2 * RATE - WINDOW : 2 * RATE])


@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (44100, 2), (8000, 1), (16000, 4)])
def test_other_rates_and_channels_become_the_models(rate, channels):
    seconds = np.arange(2 * rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    data = tone if channels == 1 else np.repeat(tone[:, None], channels, 1)
    stream = AudioStream(Window(), hop=0.1)
    size = rate // 50
    for first in range(0, len(tone) - size + 1, size):
        stream.push(AudioSample(data[first : first + size], rate), first)
    tensor, _, _ = stream.next_input()
    spectrum = np.abs(np.fft.rfft(tensor.numpy() * np.hanning(WINDOW)))
    assert np.argmax(spectrum) * RATE / WINDOW == pytest.approx(440, abs=RATE / WINDOW)
    assert np.abs(tensor.numpy()).max() == pytest.approx(0.5, abs=0.02)


def test_sound_without_sequence_is_taken_as_it_comes(signal):
    stream = AudioStream(Window(), hop=0.1)
    for first in (0, 2000):
        stream.push(block(signal, first, 2000))
    tensor, _, _ = stream.next_input()
    np.testing.assert_array_equal(tensor.numpy(), signal[:WINDOW])
