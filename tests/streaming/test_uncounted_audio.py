"""Where a block of sound belongs whose message carries no count."""

import numpy as np
import pytest

from imagebind_node.streaming.uncounted_audio import UncountedAudio

RATE, FRAMES = 16000, 512
PERIOD = FRAMES * 1_000_000_000 // RATE


def placed(audio, stamps):
    return [audio.place(int(stamp), FRAMES, RATE) for stamp in stamps]


def test_jitter_leaves_no_gap_and_is_smoothed():
    jitter = np.random.default_rng(0).exponential(3e6, 2000)
    found = placed(UncountedAudio(), 1e18 + np.arange(2000) * PERIOD + jitter)
    stamps, indices = np.array(found, np.int64).T
    np.testing.assert_array_equal(indices, np.arange(2000) * FRAMES)
    steps = np.diff(stamps[500:]) / 1e6
    assert np.abs(steps - PERIOD / 1e6).max() < 2.0, "smoother than what came, 3 ms"


def test_lost_blocks_leave_a_jump():
    stamps = 10**18 + np.arange(40) * PERIOD
    indices = [index for _, index in placed(UncountedAudio(), np.delete(stamps, range(20, 25)))]
    # 5 blocks of 32 ms were lost after the 20th.
    assert indices == [i * FRAMES for i in (*range(20), *range(25, 40))]


def test_a_repeated_block_gets_its_index_again():
    audio = UncountedAudio()
    first = placed(audio, [10**18, 10**18 + PERIOD])
    assert placed(audio, [10**18 + PERIOD]) == first[1:]
    assert audio.place(10**18 + 2 * PERIOD, FRAMES, RATE)[1] == 2 * FRAMES


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_was_set_loses_nothing(hours):
    audio = UncountedAudio()
    placed(audio, 10**18 + np.arange(10) * PERIOD)
    later = 10**18 + 10 * PERIOD + hours * 3600 * 10**9
    assert audio.place(later, FRAMES, RATE) == (later, 10 * FRAMES)


def test_another_rate_starts_a_new_clock_and_goes_on_counting():
    audio = UncountedAudio()
    placed(audio, [10**18, 10**18 + PERIOD])
    assert audio.place(10**18 + 2 * PERIOD, 1536, 48000) == (10**18 + 2 * PERIOD, 2 * FRAMES)
