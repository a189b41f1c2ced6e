"""The demo's sound track, and the verdict on records that are made up here: right, wrong, late and silent ones."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from imagebind_node.demo.record import Heard, Heat, Record, Seen
from imagebind_node.demo.scenes import load_scenes
from imagebind_node.demo.track import LEAD_IN, PAUSE, RATE, SETTLE, write_track
from imagebind_node.demo.verdict import best_iou, judge
from imagebind_node.files import read_audio, read_image

START = 1_700_000_000_000_000_000
SCALE = 1.5


@pytest.fixture(scope="module")
def scene():
    return load_scenes()[0]


@pytest.fixture(scope="module")
def track(scene, tmp_path_factory):
    return write_track(scene, tmp_path_factory.mktemp("track") / "track.wav")


def seen(seconds: float, boxes: list, scores: list, label: str = "dog", delay: float = 0.1) -> Seen:
    stamp = START + round(seconds * 1e9)
    labels = (label,) * len(scores)
    return Seen(
        stamp,
        stamp + round(delay * 1e9),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        labels,
    )


def right_box(scene, thing: str) -> np.ndarray:
    return np.array(scene.things[thing][0]) / SCALE


def heard_dog(interval) -> Record:
    stamp = START + round((interval.start + 1) * 1e9)
    return Record(started=START, heard=[Heard(stamp, "dog", 0.9, False)])


def test_bundled_scenes_are_whole():
    scenes = load_scenes()
    assert len(scenes) >= 1
    for scene in scenes:
        height, width = read_image(scene.image).data.shape[:2]
        assert len(scene.cues) >= 2
        for cue in scene.cues:
            assert 1.0 <= read_audio(cue.sound).duration <= 3.1
            for x0, y0, x1, y1 in scene.things[cue.thing]:
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height


def test_track_holds_every_cue_at_its_place(scene, track):
    sound, rate = soundfile.read(track.path)
    assert rate == RATE
    assert len(sound) / RATE == pytest.approx(track.duration, abs=0.01)
    assert [interval.cue for interval in track.intervals] == list(scene.cues)
    for interval in track.intervals:
        inside = sound[round(interval.start * RATE) : round(interval.end * RATE)]
        assert np.abs(inside).max() > 0.5
        after = sound[round(interval.end * RATE) + 10 : round((interval.end + PAUSE) * RATE) - 10]
        assert np.abs(after).max() == 0


def test_track_knows_when_it_is_silent(track):
    first = track.intervals[0]
    assert track.is_silent(LEAD_IN / 2)
    assert not track.is_silent(first.start + 1)
    assert not track.is_silent(first.end + SETTLE / 2)
    assert track.is_silent(first.end + SETTLE + 0.1)


def test_right_boxes_are_found(scene, track):
    record = Record(started=START)
    for interval in track.intervals:
        stamp = START + round((interval.start + 1) * 1e9)
        record.heard.append(Heard(stamp, interval.cue.thing, 0.9, False))
        thing = interval.cue.thing
        record.seen.append(seen(interval.start + 1, [right_box(scene, thing)], [0.95], thing))
    result = judge(scene, track, record, SCALE)
    assert all(cue.found for cue in result.cues)
    assert [cue.heard for cue in result.cues] == [cue.thing for cue in scene.cues]
    assert result.cues[0].delay == pytest.approx(1.1, abs=0.01)
    assert result.cues[0].iou == pytest.approx(1.0, abs=0.01)


def test_a_wrong_box_is_not_found(scene, track):
    first, other = track.intervals[0], scene.cues[1].thing
    record = heard_dog(first)
    record.seen.append(
        seen(first.start + 1, [right_box(scene, other), right_box(scene, first.cue.thing)], [0.9, 0.8])
    )
    cue = judge(scene, track, record, SCALE).cues[0]
    assert not cue.found
    assert cue.hits == 0


def test_the_message_of_the_best_score_decides_and_the_share_is_counted(scene, track):
    first, other = track.intervals[0], scene.cues[1].thing
    record = heard_dog(first)
    record.seen.append(seen(first.start + 0.5, [right_box(scene, other)], [0.7]))
    record.seen.append(seen(first.start + 1.0, [right_box(scene, first.cue.thing)], [0.9]))
    cue = judge(scene, track, record, SCALE).cues[0]
    assert cue.found
    assert cue.hits == pytest.approx(0.5)


def test_a_late_frame_of_another_cue_does_not_count(scene, track):
    first = track.intervals[0]
    record = heard_dog(first)
    record.seen.append(seen(first.start + 1, [right_box(scene, "duck")], [0.99], "duck"))
    record.seen.append(seen(first.start + 1.2, [right_box(scene, "dog")], [0.9], "dog"))
    assert judge(scene, track, record, SCALE).cues[0].found


def test_only_what_was_heard_most_surely_is_judged(scene, track):
    first = track.intervals[0]
    record = heard_dog(first)
    record.heard.append(Heard(record.heard[0].stamp, "grunt", 0.3, False))
    record.seen.append(seen(first.start + 0.2, [right_box(scene, "duck")], [0.99], "grunt"))
    record.seen.append(seen(first.start + 1.0, [right_box(scene, "dog")], [0.8], "dog"))
    cue = judge(scene, track, record, SCALE).cues[0]
    assert (cue.heard, cue.confidence) == ("dog", 0.9)
    assert cue.found
    assert cue.hits == 1.0


def test_nothing_seen_is_not_found(scene, track):
    result = judge(scene, track, Record(started=START), SCALE)
    assert not any(cue.found for cue in result.cues)
    assert all(cue.delay is None and cue.seen is None for cue in result.cues)


def test_boxes_in_silence_are_counted(scene, track):
    record = Record(started=START)
    record.seen.append(seen(0.2, [right_box(scene, "dog")], [0.9]))
    record.seen.append(seen(0.4, [], []))
    result = judge(scene, track, record, SCALE)
    assert (result.silent_messages, result.silent_boxes) == (2, 1)


def test_the_heat_map_of_a_message_is_the_one_that_came_with_it():
    message = seen(1.0, [[0, 0, 1, 1]], [0.9])
    wrong, right = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    record = Record(started=START)
    assert record.heat_of(message) is None
    record.heatmaps.append(Heat(message.stamp, message.arrived - 250_000_000, wrong))
    record.heatmaps.append(Heat(message.stamp, message.arrived + 5_000_000, right))
    record.heatmaps.append(Heat(message.stamp + 1, message.arrived, wrong))
    assert record.heat_of(message) is right
    lost = Record(started=START, heatmaps=[Heat(message.stamp + 1, message.arrived + 200_000_000, right)])
    assert lost.heat_of(message) is right
    late = Record(started=START, heatmaps=[Heat(message.stamp, message.arrived + 10**9, wrong)])
    assert late.heat_of(message) is None


def test_any_of_several_right_boxes_counts():
    assert best_iou(np.array([0, 0, 10, 10]), [[50, 50, 60, 60], [0, 0, 10, 10]]) == pytest.approx(1.0)
