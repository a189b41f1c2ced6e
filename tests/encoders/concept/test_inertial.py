"""The IMU tower on real windows: four a class, drawn blindly, of people left out of training (UCI HAPT, CC BY 4.0)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImuSample

HAPT = np.load(Path(__file__).with_name("hapt.npz"))
WINDOWS = HAPT["data"].astype(np.float32).transpose(0, 2, 1)
TRUTH = HAPT["label"]
WALKING = WINDOWS[0]
NAMES = [
    "a person walking",
    "a person walking upstairs",
    "a person walking downstairs",
    "a person sitting",
    "a person standing",
    "a person lying down",
]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept", modalities=["imu", "text"])


def sample(window, rate=50.0, **fields):
    return ImuSample(np.ascontiguousarray(window, np.float32), np.arange(len(window)) / rate, **fields)


def test_unseen_people_do_what_the_words_say(encoder):
    found = encoder.encode("imu", [sample(window) for window in WINDOWS])
    texts = np.stack([e.vector for e in encoder.encode("text", NAMES)])
    vectors = np.stack([e.vector for e in found])
    assert ((vectors @ texts.T).argmax(1) == TRUTH).mean() > 0.8
    assert np.mean([e.labels[0][0] == NAMES[k] for e, k in zip(found, TRUTH)]) > 0.8
    assert np.mean([e.abstained for e in found]) < 0.2


def test_embedding_says_where_it_is_from(encoder):
    (found,) = encoder.encode("imu", [sample(WALKING, stamp=7, frame_id="waist")])
    assert (found.stamp, found.frame_id, found.window) == (7, "waist", 2.56)
    assert found.space == encoder.space and np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)
    scores = [score for _, score in found.labels]
    assert scores == sorted(scores, reverse=True) and sum(scores) <= 1.0001


@pytest.mark.parametrize("rate", [25.0, 100.0, 200.0, 416.0])
def test_any_rate_means_the_same(encoder, rate):
    times = np.arange(round(2.54 * rate)) / rate
    walk = np.stack([np.interp(times, np.arange(128) / 50, column) for column in WALKING.T], 1)
    (found,) = encoder.encode("imu", [sample(walk, rate)])
    assert found.labels[0][0].startswith("a person walking") and not found.abstained
    (reference,) = encoder.encode("imu", [sample(WALKING)])
    assert found @ reference > 0.9


def test_the_first_0_64_seconds_of_a_stream_are_enough_and_less_sure(encoder):
    assert encoder.shortest_window("imu") == 0.64
    short = encoder.encode("imu", [sample(window[-32:]) for window in WINDOWS])
    assert {e.window for e in short} == {0.64}
    assert np.mean([e.labels[0][0] == NAMES[k] for e, k in zip(short, TRUTH)]) > 0.8
    whole = encoder.encode("imu", [sample(window) for window in WINDOWS])
    assert np.mean([e.confidence for e in short]) < np.mean([e.confidence for e in whole]) - 0.02


def test_windows_of_several_lengths_at_once(encoder):
    lengths = (128, 60, 5)
    together = encoder.encode("imu", [sample(WALKING[-count:]) for count in lengths])
    assert [e.window for e in together] == [2.56, 1.2, 0.64]
    for count, found in zip(lengths, together):
        (alone,) = encoder.encode("imu", [sample(WALKING[-count:])])
        np.testing.assert_allclose(found.vector, alone.vector, atol=1e-6)
        assert found.confidence == pytest.approx(alone.confidence)


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("given in g", lambda w: w / np.array([9.80665] * 3 + [1] * 3)),
        ("gravity removed", lambda w: w - w.mean(0)),
        ("upside down", lambda w: w * [-1, -1, 1, -1, -1, 1]),
        ("falling", lambda w: 0 * w),
    ],
)
def test_other_units_and_mountings_abstain(encoder, why, change):
    (found,) = encoder.encode("imu", [sample(change(WALKING))])
    assert found.abstained and found.confidence == 0


def test_a_gap_is_refused(encoder):
    times = np.arange(128) / 50
    times[64:] += 0.4
    with pytest.raises(InvalidInputError, match="gap of 0.420 s"):
        encoder.encode("imu", [ImuSample(WALKING, times)])
