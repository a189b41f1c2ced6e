"""Real recordings to pairs: matched, split, sharded and checked."""

import io
import json
import subprocess
import sys
import tarfile

import drives
import numpy as np
import pytest
from PIL import Image

from imagebind_node.binding.shards import PairShards
from imagebind_node.cli.main import main
from imagebind_node.errors import InvalidInputError


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """Four drives, an hour apart; the last two overlap and thus are one session."""
    folder = tmp_path_factory.mktemp("drives")
    starts = [drives.START + i * drives.HOUR for i in range(3)]
    starts.append(starts[2] + 10**9)
    return [drives.write(folder / f"drive{i}", start=start) for i, start in enumerate(starts)]


def make(capsys, out, recordings, *options, image=drives.CAMERA, sense=drives.SCAN):
    arguments = [
        "pairs",
        *map(str, recordings),
        "--image",
        image,
        "--sense",
        sense,
        "--out",
        str(out),
        "--json",
    ]
    assert main([*arguments, *options]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, out, recordings, *options, image=drives.CAMERA, sense=drives.SCAN):
    arguments = ["pairs", *map(str, recordings), "--image", image, "--sense", sense, "--out", str(out)]
    assert main([*arguments, *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.strip().splitlines()) == 1
    assert not (out / "index.json").exists()
    return said.err


def shown(pair):
    """What the picture says that it is the i-th."""
    return round(pair.image.mean() / 5)


def test_pictures_meet_the_scan_of_their_moment_and_sessions_stay_whole(bags, capsys, tmp_path):
    made = make(capsys, tmp_path / "pairs", bags, "--shares", "0.5,0.25,0.25")
    shards = PairShards(tmp_path / "pairs")
    assert {split: shards.count(split) for split in ("train", "val", "test")} == {
        split: sum(s["pairs"] for s in made["sessions"].values() if s["split"] == split)
        for split in ("train", "val", "test")
    }
    assert sorted(s["recordings"] for s in made["sessions"].values()) == [
        ["drive0"], ["drive1"], ["drive2", "drive3"],
    ]  # fmt: skip
    seen = {}
    for split in ("train", "val", "test"):
        for pair in shards.read(split):
            assert shown(pair) == pair.sense[0] and pair.sense.shape == (36,)
            assert pair.facts["sense_stamp"] - pair.facts["image_stamp"] == 4_000_000
            assert pair.facts["range_max"] == 30.0
            assert seen.setdefault(pair.facts["session"], split) == split
    assert len(seen) == 3 and sum(s["pairs"] for s in made["sessions"].values()) == 80


def test_the_same_recordings_give_the_same_shards_to_the_byte(bags, capsys, tmp_path):
    hashes = [
        [s["sha256"] for s in make(capsys, tmp_path / name, bags[:1], "--shares", "1,0,0")["shards"]]
        for name in ("a", "b")
    ]
    assert hashes[0] == hashes[1] and len(hashes[0]) == 1


def test_slop_decides_and_the_error_says_how_far_apart_they_are(capsys, tmp_path):
    bag = drives.write(tmp_path / "bag", late_ms=30)
    said = refused(capsys, tmp_path / "no", [bag], "--slop", "0.02")
    assert "0.030 s apart" in said and "--received" in said
    assert make(capsys, tmp_path / "yes", [bag], "--slop", "0.031", "--shares", "1,0,0")["matched"] == 20


def test_sound_and_motion_are_the_stretch_around_the_picture(bags, capsys, tmp_path):
    make(capsys, tmp_path / "sound", bags[:1], "--window", "0.5", "--shares", "1,0,0", sense=drives.SOUND)
    pairs = list(PairShards(tmp_path / "sound").read("train"))
    assert [shown(p) for p in pairs] == [5, 10, 15], "windows do not overlap; the first and last would be cut"
    for pair in pairs:
        assert pair.facts["sample_rate"] == drives.RATE and pair.sense.shape == (drives.RATE // 2,)
        assert pair.sense.mean() == pytest.approx(shown(pair) / 10, abs=1e-3)
    make(capsys, tmp_path / "motion", bags[:1], "--window", "0.5", "--shares", "1,0,0", sense=drives.MOTION)
    for pair in PairShards(tmp_path / "motion").read("train"):
        assert pair.sense.shape == (50, 7) and pair.sense[0, 0] == pytest.approx(-0.25)
        assert pair.sense[:, 1] == pytest.approx(pair.sense[:, 0] + shown(pair) / 10)


def test_sound_with_a_gap_gives_no_pair_there(capsys, tmp_path):
    bag = drives.write(tmp_path / "bag", sound_gap=True, count=30)
    made = make(capsys, tmp_path / "out", [bag], "--window", "0.4", "--shares", "1,0,0", sense=drives.SOUND)
    pairs = list(PairShards(tmp_path / "out").read("train"))
    assert [shown(p) for p in pairs] == [4, 8, 20, 24, 28], "no sound before 0 s and from 1.0 to 1.5 s"
    assert made["incomplete"] == 3
    assert [p.sense.mean() for p in pairs] == pytest.approx([shown(p) / 10 for p in pairs], abs=1e-3)


def test_folders_named_by_time_are_paired_too(capsys, tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "walk" / name).mkdir(parents=True)
    for i in range(4):
        picture = np.full((20, 20, 3), 40 * i, np.uint8)
        Image.fromarray(picture).save(tmp_path / "walk/rgb" / f"{1305031102 + i}.175304.png")
        depth = np.full((10, 10), 1000 * (i + 1), np.uint16)
        Image.fromarray(depth).save(tmp_path / "walk/depth" / f"{1305031102 + i}.160407.png")
    options = ("--as", "depth", "--shares", "1,0,0")
    make(capsys, tmp_path / "out", [tmp_path / "walk"], *options, image="rgb", sense="depth")
    pairs = list(PairShards(tmp_path / "out").read("train"))
    assert [round(p.image.mean() / 40) for p in pairs] == [0, 1, 2, 3]
    assert [p.sense[0, 0] for p in pairs] == pytest.approx([1, 2, 3, 4])
    assert "no subfolder 'lidar': it has depth, rgb" in refused(
        capsys, tmp_path / "other", [tmp_path / "walk"], image="rgb", sense="lidar"
    )
    (tmp_path / "walk/depth/readme.png").write_bytes(b"")
    assert "by their time" in refused(
        capsys, tmp_path / "no", [tmp_path / "walk"], *options, image="rgb", sense="depth"
    )


def test_a_field_or_a_function_of_ones_own_reads_the_message(bags, capsys, tmp_path, monkeypatch):
    (tmp_path / "my_scan.py").write_text("def nearest(message):\n    return message.ranges.min() * 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, read, factor in (("f", "my_scan:nearest", 2), ("g", "ranges", 1)):
        make(capsys, tmp_path / name, bags[:1], "--read", read, "--shares", "1,0,0")
        pair = list(PairShards(tmp_path / name).read("train"))[7]
        assert pair.sense[0] == 7 * factor
    assert "no field" in refused(
        capsys, tmp_path / "h", bags[:1], "--read", "ranges.__class__", "--shares", "1,0,0"
    )
    assert "cannot be imported" in refused(
        capsys, tmp_path / "i", bags[:1], "--read", "nowhere:f", "--shares", "1,0,0"
    )


def test_readers_share_the_shards_and_shuffle_by_seed(bags, capsys, tmp_path):
    from imagebind_node.binding.pairing import Pairing, make_pairs
    from imagebind_node.binding.recordings import Streams

    streams = Streams(image=drives.CAMERA, sense=drives.SCAN)
    shares = {"train": 1.0, "val": 0.0, "test": 0.0}
    make_pairs(bags, streams, Pairing(shares=shares, shard_bytes=20_000), tmp_path / "out")
    shards = PairShards(tmp_path / "out")
    whole = [p.key for p in shards.read("train")]
    assert len(shards.index["shards"]) > 4 and len(set(whole)) == 80
    parts = [[p.key for p in shards.read("train", shuffle=3, rank=r, world=2)] for r in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(whole) and parts[0] and parts[1]
    orders = [[p.key for p in shards.read("train", shuffle=seed)] for seed in (3, 3, 4)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(whole) != orders[0]


def test_webdataset_reads_the_shards(bags, capsys, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    make(capsys, tmp_path / "out", bags[:1], "--shares", "1,0,0")
    (shard,) = sorted((tmp_path / "out").glob("*.tar"))
    theirs = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    ours = list(PairShards(tmp_path / "out").read("train"))
    assert [t["__key__"] for t in theirs] == [p.key for p in ours]
    assert np.array_equal(np.load(io.BytesIO(theirs[3]["npy"])), ours[3].sense)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "index", "elsewhere", "none"])
def test_altered_pairs_are_refused(damage, bags, capsys, tmp_path):
    out = tmp_path / "out"
    make(capsys, out, bags[:1], "--shares", "1,0,0")
    shard, index = next(out.glob("*.tar")), out / "index.json"
    data = bytearray(shard.read_bytes())
    if damage == "flipped":
        data[1000] ^= 1
        shard.write_bytes(data)
    elif damage == "truncated":
        shard.write_bytes(data[:-1024])
    elif damage == "missing":
        shard.unlink()
    elif damage == "index":
        index.write_text(index.read_text()[:-40])
    elif damage == "elsewhere":
        index.write_text(index.read_text().replace(shard.name, f"../{shard.name}"))
    else:
        index.unlink()
    with pytest.raises(InvalidInputError):
        list(PairShards(out).read("train"))


def test_a_hostile_shard_with_a_true_hash_is_refused(tmp_path, bags, capsys):
    """An array of Python objects (a pickle) and an array that claims terabytes."""
    import hashlib

    out = tmp_path / "out"
    make(capsys, out, bags[:1], "--shares", "1,0,0")
    shard = next(out.glob("*.tar"))
    pickled, huge = io.BytesIO(), io.BytesIO()
    np.save(pickled, np.array([print], object), allow_pickle=True)
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    for bad in (pickled.getvalue(), huge.getvalue(), b""):
        parts = {}
        with tarfile.open(shard) as tar:
            for member in list(tar)[:3]:
                parts[member.name] = tar.extractfile(member).read()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content in parts.items():
                content = bad if name.endswith("npy") else content
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        data = buffer.getvalue()
        shard.write_bytes(data)
        index = json.loads((out / "index.json").read_text())
        hashed = hashlib.sha256(data).hexdigest()
        index["shards"][0] |= {"sha256": hashed, "bytes": len(data), "pairs": 1}
        (out / "index.json").write_text(json.dumps(index))
        with pytest.raises(InvalidInputError, match="damaged"):
            list(PairShards(out).read("train"))


def test_damaged_messages_are_counted_and_the_rest_is_paired(capsys, tmp_path):
    bag = drives.write(tmp_path / "bag", cut=3)
    made = make(capsys, tmp_path / "out", [bag], "--shares", "1,0,0")
    assert made["unusable"] == {"/scan": 1} and made["matched"] == 19


def test_what_is_no_recording_is_refused_in_one_line(bags, capsys, tmp_path):
    out = tmp_path / "out"
    whole = next(bags[0].glob("*.mcap")).read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello\n" * 100}.items():
        (tmp_path / f"{name}.mcap").write_bytes(content)
        assert "damaged or incomplete" in refused(
            capsys, out, [tmp_path / f"{name}.mcap"], "--shares", "1,0,0"
        )
    assert "does not exist" in refused(capsys, out, [tmp_path / "none"])
    said = refused(capsys, out, bags[:1], sense="/lidar")
    assert "no topic /lidar" in said and "/scan (sensor_msgs/msg/LaserScan)" in said
    assert "twice" in refused(capsys, out, [bags[0], bags[0]])
    assert "without a leak" in refused(capsys, out, bags[:1])
    assert "not among" in refused(capsys, out, bags[:1], "--test", str(bags[1]))
    assert "same session" in refused(capsys, out, bags[2:], "--test", str(bags[2]), "--val", str(bags[3]))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    assert "not empty" in refused(capsys, tmp_path / "full", bags[:1], "--shares", "1,0,0")


def test_pairs_are_made_without_ros(bags, tmp_path):
    code = (
        "import sys; sys.modules['rclpy'] = None; from imagebind_node.cli.main import main; "
        f"sys.exit(main(['pairs', {str(bags[0])!r}, '--image', '/camera/image_raw', '--sense', '/scan', "
        f"'--shares', '1,0,0', '--out', {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "session_0000" in done.stdout
