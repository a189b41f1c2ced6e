"""Replay: the same timeline every time, at the pace it is told."""

import threading
import time
from itertools import pairwise

import cv2
import numpy as np
import pytest
import soundfile

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import AudioSample, ImageSample
from imagebind_node.sensors.replay import Replay, ReplayConfig

RATE = 16000


@pytest.fixture
def folder(tmp_path):
    """Three pictures of one grey level each and two sounds of 0.1 s and 0.25 s."""
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((30, 40, 3), 10 * (index + 1), np.uint8))
    rng = np.random.default_rng(0)
    for name, seconds in (("a.wav", 0.1), ("b.flac", 0.25)):
        soundfile.write(tmp_path / name, rng.uniform(-0.5, 0.5, round(seconds * RATE)), RATE)
    (tmp_path / "notes.txt").write_text("not for us")
    return tmp_path


def both(folder, **options):
    return Replay(ReplayConfig(images=str(folder), audio=str(folder), **options))


def test_sound_is_complete_in_order_and_counted(folder):
    events = list(Replay(ReplayConfig(audio=str(folder))).events())
    sound = np.concatenate([event.data for event in events])
    expected = np.concatenate(
        [soundfile.read(folder / name, dtype="float32")[0] for name in ("a.wav", "b.flac")]
    )
    np.testing.assert_array_equal(sound, expected)
    position = 0
    for event in events:
        assert event.sequence == position
        assert event.begin == pytest.approx(position / RATE)
        position += len(event.data)
        assert event.time == pytest.approx(position / RATE)


def test_timeline_is_the_same_twice_and_in_order_of_time(folder):
    def timeline():
        return [
            (e.time, e.topic, e.source, e.sequence, e.data.sum()) for e in both(folder, rate=20.0).events()
        ]

    one = timeline()
    assert one == timeline()
    assert [event[0] for event in one] == sorted(event[0] for event in one)
    assert {event[1] for event in one} == {"camera", "audio"}


def test_pictures_start_over_until_the_sound_ends(folder):
    events = list(both(folder, rate=20.0, gap=0.01).events())
    greys = [int(e.data[0, 0, 0]) for e in events if e.topic == "camera"]
    assert greys == ([10, 20, 30] * 3)[: len(greys)]
    assert len(greys) == 8  # 0, 50, ... 350 ms of 370 ms
    assert sum(len(e.data) for e in events if e.topic == "audio") == round(0.37 * RATE)


def test_pictures_alone_play_once_or_for_ever(folder):
    once = Replay(ReplayConfig(images=str(folder), rate=10.0))
    assert [round(e.time, 3) for e in once.events()] == [0.0, 0.1, 0.2]
    for_ever = Replay(ReplayConfig(images=str(folder), rate=10.0, loop=True)).events()
    assert [round(next(for_ever).time, 3) for _ in range(8)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_hold_and_gap(folder):
    events = list(both(folder, rate=10.0, hold=0.2, gap=0.1).events())
    greys = [int(e.data[0, 0, 0]) for e in events if e.topic == "camera"]
    assert greys[:4] == [10, 10, 20, 20]
    sound = np.concatenate([e.data for e in events if e.topic == "audio"])
    assert len(sound) == round(0.55 * RATE)
    assert not sound[: round(0.1 * RATE)].any()


def test_video_plays_at_its_own_rate(tmp_path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(5):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()
    events = list(Replay(ReplayConfig(images=str(path))).events())
    assert [round(e.time, 3) for e in events] == [0.0, 0.04, 0.08, 0.12, 0.16]
    assert [round(float(e.data.mean()) / 40) for e in events] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 0.35), (5.0, 0.07)])
def test_plays_in_real_time_with_regular_stamps(folder, speed, seconds):
    got, started = [], time.monotonic()
    both(folder, rate=20.0, speed=speed).play(
        lambda s, n: got.append((s, n)), threading.Event(), time.time_ns
    )
    assert time.monotonic() - started >= seconds * 0.99
    sounds = [(s, n) for s, n in got if isinstance(s, AudioSample)]
    for (one, _), (two, _) in pairwise(sounds):
        assert two.stamp - one.stamp == pytest.approx(one.duration / speed * 1e9, abs=2)
    pictures = [s for s, _ in got if isinstance(s, ImageSample)]
    assert pictures[0].stamp == sounds[0][0].stamp
    assert pictures[0].frame_id == "camera_optical_frame"
    assert sounds[0][0].frame_id == "microphone"


def test_stops_when_asked(folder):
    stop, got = threading.Event(), []
    player = threading.Thread(
        target=both(folder, loop=True).play, args=(lambda s, n: got.append(s) or stop.set(), stop)
    )
    player.start()
    player.join(30)
    assert not player.is_alive()
    assert len(got) == 1


def test_a_broken_file_in_a_folder_is_skipped_and_named(folder):
    (folder / "1.png").write_bytes(b"\x89PNG broken")
    replay = Replay(ReplayConfig(images=str(folder), rate=10.0))
    assert len(list(replay.events())) == 2
    assert len(replay.problems) == 1
    assert "1.png" in replay.problems[0]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "nothing to replay"),
        ({"images": "/nowhere"}, "does not exist"),
        ({"audio": __file__}, "not one of the known kinds of audio"),
        ({"images": "/nowhere", "speed": 0.0}, "speed"),
    ],
)
def test_bad_settings_are_refused(config, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        Replay(ReplayConfig(**config))


def test_folder_without_sounds_and_file_without_content(tmp_path):
    with pytest.raises(InvalidInputError, match="holds no audio"):
        Replay(ReplayConfig(audio=str(tmp_path)))
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"empty\.wav"):
        list(Replay(ReplayConfig(audio=str(tmp_path))).events())
