"""Recordings: the same embeddings every time, and one clear error for whatever is no recording."""

import json
import shutil
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
import recorded_bag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagebind_node.cli.main import main
from imagebind_node.errors import InvalidInputError
from imagebind_node.sensors.bag import IMU, Recording, restamped, sample_of

SENSES = ["audio", "depth", "imu", "thermal", "vision"]


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    return {kind: recorded_bag.write(folder / kind, kind) for kind in ("mcap", "sqlite3")}


def replay(capsys, bag, *options):
    assert main(["replay", str(bag), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_recording_gives_the_same_embeddings_bit_for_bit_from_either_storage(bags, capsys, tmp_path):
    files = [tmp_path / f"{i}.npz" for i in range(3)]
    results = [
        replay(capsys, bags[kind], "--out", str(file))
        for kind, file in zip(("mcap", "mcap", "sqlite3"), files)
    ]
    assert len({result["sha256"] for result in results}) == 1
    assert sorted(topic["modality"] for topic in results[0]["topics"]) == SENSES
    assert results[0]["ignored"] == ["/chatter"] and results[0]["unusable"] == {}
    one, two, three = (np.load(file) for file in files)
    for name in ("vectors", "stamps", "modalities", "topics"):
        assert np.array_equal(one[name], two[name]) and np.array_equal(one[name], three[name])
    counts = Counter(one["modalities"].tolist())
    assert (counts["vision"], counts["depth"], counts["thermal"]) == (20, 8, 8)
    # Motion from 0.64 s on, every 0.5 s, in 4 s.
    assert 20 <= counts["audio"] <= 40 and counts["imu"] == 7
    assert (np.abs(np.linalg.norm(one["vectors"], axis=1) - 1) < 1e-5).all()


def test_pictures_are_thinned_by_the_time_of_the_recording(bags, capsys):
    found = replay(capsys, bags["mcap"], "--modalities", "vision", "--rate", "2")
    assert 7 <= found["topics"][0]["embeddings"] <= 10


def test_a_damaged_message_is_counted_and_the_others_are_used(tmp_path, capsys):
    bag = recorded_bag.write(tmp_path / "bag", damage=3)
    found = replay(capsys, bag, "--modalities", "vision")
    assert found["topics"][0]["embeddings"] == 19
    assert found["unusable"] == {"/camera/image_raw": 1}


def test_a_moved_stamp_is_all_that_changes(bags):
    for message in Recording(bags["mcap"]).messages():
        moved = restamped(message.raw, 5_000_000_007)
        assert moved[:4] == message.raw[:4] and moved[12:] == message.raw[12:]
        assert restamped(moved, message.stamp) == message.raw
        if message.kind == IMU:
            assert sample_of(message)[2] == pytest.approx(sample_of(message)[2])


@pytest.mark.parametrize("kind", ["missing", "empty folder", "text", "empty"])
def test_what_is_no_recording_is_refused_in_one_line(kind, tmp_path, capsys):
    path = tmp_path / "bag"
    if kind == "empty folder":
        path.mkdir()
    elif kind != "missing":
        path = path.with_suffix(".mcap")
        path.write_bytes(b"" if kind == "empty" else b"hello\n" * 100)
    assert main(["replay", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "bag" in said.err


def read_all(path):
    """Every message and its sample; only InvalidInputError may come out."""
    recording = Recording(path)
    count = 0
    with suppress(InvalidInputError):
        for message in recording.messages():
            with suppress(InvalidInputError):
                sample_of(message)
            count += 1
    return count


def test_all_of_a_whole_recording_is_read(bags):
    for bag in bags.values():
        assert read_all(bag) == 20 + 8 + 8 + 80 + 400


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["mcap", "sqlite3"]))
def test_hostile_recordings_end_in_one_error(bags, tmp_path_factory, data, kind):
    source = next(p for p in bags[kind].iterdir() if p.suffix in (".mcap", ".db3"))
    raw = bytearray(source.read_bytes())
    folder = tmp_path_factory.mktemp("hostile") / "bag"
    shutil.copytree(bags[kind], folder)
    how = data.draw(st.sampled_from(["cut", "flip", "metadata", "zeros"]))
    target = folder / source.name
    if how == "cut":
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    elif how == "flip":
        for _ in range(data.draw(st.integers(1, 40))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    elif how == "zeros":
        first = data.draw(st.integers(0, len(raw) - 1))
        raw[first : first + 2000] = bytes(len(raw[first : first + 2000]))
    else:
        target = folder / "metadata.yaml"
        raw = bytearray(target.read_bytes())
        for _ in range(data.draw(st.integers(1, 10))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    target.write_bytes(bytes(raw))
    assert read_all(folder) <= 5000
    shutil.rmtree(folder.parent)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(set(recorded_bag.KINDS.values()) - {"std_msgs/msg/String"})),
    body=st.binary(max_size=300),
)
def test_hostile_messages_are_skipped_or_refused(bags, kind, body):
    from types import SimpleNamespace

    recording = Recording(bags["mcap"])
    for raw in (body, b"\x00\x01\x00\x00" + body):
        found = recording._decode(SimpleNamespace(msgtype=kind, topic="/x"), 0, raw, True)
        if found is None:
            continue
        with suppress(InvalidInputError):
            sample_of(found)
