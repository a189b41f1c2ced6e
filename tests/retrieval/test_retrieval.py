"""Indexing files and bags with the real embedded model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagebind_node.cli.main import main
from imagebind_node.encoders.base import Encoder, load_encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.memory import MemoryFilter, open_memory
from imagebind_node.retrieval.files import find_sources
from imagebind_node.retrieval.job import JOURNAL, index_sources, local_worker
from imagebind_node.retrieval.pieces import cut, imu_windows, sound_windows
from imagebind_node.samples import AudioSample, ImuSample, Modality

START = 1_700_000_000


def test_sources_are_found_and_the_rest_is_reported(album: Path) -> None:
    sources, refused = find_sources([album])
    names = {Path(source.path).name: source.kind for source in sources}
    assert names == {
        "broken.jpg": "image",
        "meadow.jpg": "image",
        "monday": "bag",
        "ride.mp4": "video",
        "dog.flac": "audio",
        "cow.flac": "audio",
    }
    assert [Path(path).name for path, _ in refused] == ["notes.pdf"]
    assert find_sources([album, album / "meadow.jpg"])[0] == sources
    with pytest.raises(InvalidInputError, match="does not exist"):
        find_sources([album / "none"])


def test_sound_is_cut_into_whole_windows_that_reach_the_end() -> None:
    sample = AudioSample(np.arange(2500, dtype=np.float32) / 2500, 1000, stamp=10**9)
    pieces = list(sound_windows(sample, 1.0, "a.wav"))
    assert [piece.name for piece in pieces] == ["a.wav#t=0.000", "a.wav#t=1.000", "a.wav#t=1.500"]
    assert [piece.sample.stamp for piece in pieces] == [2 * 10**9, 3 * 10**9, int(3.5e9)]
    assert pieces[-1].sample.data[-1] == sample.data[-1]
    assert [p.name for p in sound_windows(sample, 5.0, "a.wav")] == ["a.wav"]


def test_imu_windows_end_with_the_last_measurement() -> None:
    times = np.arange(0, 2.5, 0.01)
    sample = ImuSample(np.ones((len(times), 6), np.float32), times, stamp=int(9e9))
    pieces = list(imu_windows(sample, 1.0, "imu.csv"))
    assert [piece.sample.stamp for piece in pieces] == [int(8e9), int(9e9)]
    assert all(len(piece.sample.data) == 100 for piece in pieces)


def test_bag_gives_pictures_sound_and_motion_with_their_stamps(album: Path) -> None:
    sources, _ = find_sources([album / "monday"])
    pieces = list(cut(sources[0], lambda modality: 0.5, 1.0))
    by_modality = {m: [p for p in pieces if p.sample.modality is m] for m in Modality}
    assert [p.sample.stamp for p in by_modality[Modality.VISION]] == [START * 10**9, (START + 1) * 10**9]
    assert by_modality[Modality.VISION][0].sample.data.shape == (120, 160, 3)
    assert by_modality[Modality.VISION][0].sample.frame_id == "camera"
    # Sound is lost from 1.2 to 1.3 s: no window may reach across.
    ends = [(p.sample.stamp // 10**6) - START * 1000 for p in by_modality[Modality.AUDIO]]
    assert len(ends) == 5
    assert all(end <= 1201 or end - 500 >= 1299 for end in ends)
    assert len(by_modality[Modality.IMU]) == 3
    assert by_modality[Modality.IMU][-1].sample.stamp == START * 10**9 + 1_990_000_000


def test_what_a_bag_shows_has_the_pose_that_its_tf_tells(album: Path) -> None:
    source = find_sources([album / "monday"])[0][0]
    pieces = list(cut(source, lambda modality: 0.5, 0.5))
    seen = [p for p in pieces if p.sample.modality is Modality.VISION]
    for piece in seen:
        assert piece.pose.frame_id == "map"
        seconds = (piece.sample.stamp - START * 10**9) / 1e9
        np.testing.assert_allclose(piece.pose.position, (3.0 + seconds, 0.0, 0.5), atol=1e-6)
    assert len(seen) == 4
    assert all(p.pose is None for p in pieces if p.sample.modality is Modality.AUDIO)
    elsewhere = list(cut(source, lambda modality: 0.5, 0.5, "odom"))
    assert all(piece.pose is None for piece in elsewhere)


def test_index_is_resumable_and_reports_what_it_cannot_read(
    album: Path, tmp_path: Path, encoder: Encoder
) -> None:
    sources, _ = find_sources([album])
    journal = tmp_path / JOURNAL
    with open_memory(tmp_path / "memory", encoder.space) as store:
        work = local_worker(encoder)
        first = index_sources(sources[:3], store, work, journal=journal)
        assert first.sources == 2
        assert [Path(path).name for path, _ in first.unreadable] == ["broken.jpg"]
        # A crash cut the last line short: that source is done again, the rest is not.
        lines = journal.read_text().splitlines()
        journal.write_text(lines[0] + "\n" + lines[1][:20])
        second = index_sources(sources, store, work, journal=journal)
        assert second.skipped == 1
        assert second.sources == 4
        count = store.count()
        third = index_sources(sources, store, work, journal=journal)
        assert (third.skipped, third.sources, third.moments) == (5, 0, 0)
        assert len(third.unreadable) == 1
        assert store.count() == count
        (album / "meadow.jpg").touch()
        changed, _ = find_sources([album])
        assert index_sources(changed, store, work, journal=journal).sources == 1
        dog = encoder.encode("audio", [str(album / "sounds" / "dog.flac")])[0]
        hits = store.search(dog, 3, MemoryFilter(modalities=("audio",)))
        assert "dog" in hits[0].moment.source or "monday" in hits[0].moment.source
        cow = encoder.encode("text", ["cow"])[0]
        assert "cow" in store.search(cow, 1, MemoryFilter(modalities=("audio",)))[0].moment.source


def test_damaged_bag_is_one_clear_error(album: Path) -> None:
    for file in (album / "monday").glob("*.mcap"):
        file.write_bytes(file.read_bytes()[:200])
    source = find_sources([album / "monday"])[0][0]
    with pytest.raises(InvalidInputError, match="monday is damaged or incomplete"):
        list(cut(source, lambda modality: 1.0, 1.0))


def test_command_line_indexes_and_retrieves(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = str(tmp_path / "memory")
    assert main(["index", str(album), "--memory", memory, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sources"] == 5
    assert {Path(e["input"]).name for e in document["unreadable"]} == {"broken.jpg", "notes.pdf"}
    assert main(["retrieve", "text:cow", "--among", memory, "--modality", "audio", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert "cow" in results[0]["input"]
    assert results[0]["cosine"] >= results[-1]["cosine"]
    where = ["--near", "4,0,0.5,0.3", "--modality", "vision"]
    assert main(["retrieve", "text:meadow", "--among", memory, *where, "--json"]) == 0
    near = json.loads(capsys.readouterr().out)["results"]
    assert [Path(result["input"]).name for result in near] == ["image_raw"]
    assert (near[0]["position"], near[0]["position_frame"]) == ([4.0, 0.0, 0.5], "map")
    assert main(["retrieve", "text:meadow", "--among", memory, "--near", "4,0,0.5,0.3,odom", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == []
    assert main(["retrieve", "text:meadow", "--among", memory, "--near", "4,0,nowhere"]) == 2
    assert "X,Y,Z,RADIUS" in capsys.readouterr().err
    query = "text:cow + 0.5 * text:dog"
    assert main(["retrieve", query, "--among", memory, "--spherical", "--since", "2001-01-01", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [term["weight"] for term in document["query"]["terms"]] == [1.0, 0.5]
    for result in document["results"]:
        assert sum(result["contributions"]) == pytest.approx(result["cosine"], abs=1e-4)
    assert main(["retrieve", "text:cow", "--among", memory, "--until", "2001-01-01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == []
    assert main(["memory", "info", memory, "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["memories"] > 5
    assert main(["memory", "forget", memory, "--until", "2100-01-01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left"] == 0
    assert main(["memory", "info", str(album)]) == 2
    assert "is not a memory" in capsys.readouterr().err


@pytest.mark.slow
def test_two_ray_workers_give_the_same_as_one_process(album: Path, tmp_path: Path) -> None:
    sources, refused = find_sources([album])
    encoder = load_encoder("concept")
    with open_memory(tmp_path / "one", encoder.space) as store:
        one = index_sources(sources, store, local_worker(encoder))
        here = {h.id: h for page in store.scan(with_vectors=True) for h in page}
    # A process of its own, as a user starts it: Ray hands what it finds in its driver, such as the module search
    # path and the environment, down to its workers, and this one has been through other tests.
    command = [sys.executable, "-m", "imagebind_node.cli.main", "index", str(album)]
    done = subprocess.run(
        [*command, "--memory", str(tmp_path / "two"), "--ray", "2", "--json"],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)
    for field in ("sources", "skipped", "moments", "abstained"):
        assert two[field] == getattr(one, field)
    unreadable = sorted([*one.unreadable, *refused])
    assert two["unreadable"] == [{"input": path, "reason": reason} for path, reason in unreadable]
    with open_memory(tmp_path / "two", encoder.space) as store:
        there = {h.id: h for page in store.scan(with_vectors=True) for h in page}
    assert set(here) == set(there)
    for key, hit in here.items():
        # The number of threads moves the last digits of scores and vectors.
        other = there[key].moment
        same = {"labels": (), "confidence": 1.0}
        assert replace(hit.moment, **same) == replace(other, **same)
        assert hit.moment.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert [name for name, _ in hit.moment.labels] == [name for name, _ in other.labels]
        assert [s for _, s in hit.moment.labels] == pytest.approx([s for _, s in other.labels], abs=1e-5)
        np.testing.assert_allclose(hit.vector, there[key].vector, atol=1e-5)
