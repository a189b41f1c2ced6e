"""Every reader on a few files in the layout in which the dataset is published."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.evaluation.datasets import CAPTIONED, LABELLED, read_dataset
from imagebind_node.evaluation.datasets.captions import read_audiocaps, read_clotho
from imagebind_node.samples import Modality

DEMO = Path(__file__).parents[2] / "demo"


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def make_esc50(root: Path) -> None:
    rows = []
    for i, (category, target) in enumerate([("dog", 0), ("cow", 3), ("church_bells", 46)]):
        name = f"{i + 1}-100032-A-{target}.wav"
        (root / "audio").mkdir(parents=True, exist_ok=True)
        write_wav(root / "audio" / name, "dog" if category == "church_bells" else category)
        rows.append(
            {
                "filename": name,
                "fold": 1,
                "target": target,
                "category": category,
                "esc10": "True",
                "src_file": 100032,
                "take": "A",
            }
        )
    write_csv(root / "meta" / "esc50.csv", rows)


def write_wav(path: Path, animal: str) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    sound, rate = soundfile.read(DEMO / f"{animal}.flac", dtype="float32")
    soundfile.write(path, sound, rate)


def make_imagenet(root: Path) -> None:
    for wnid in ("n01440764", "n02012849", "n03126707"):
        folder = root / "val" / wnid
        folder.mkdir(parents=True)
        shutil.copy(DEMO / "meadow.jpg", folder / "ILSVRC2012_val_00000293.JPEG")
    (root / "LOC_synset_mapping.txt").write_text(
        "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n"
    )


def make_sun_rgbd(root: Path) -> None:
    for i, label in enumerate(("bathroom", "home_office", "idk")):
        scene = root / "kv1" / "NYUdata" / f"NYU000{i}"
        (scene / "depth_bfx").mkdir(parents=True)
        (scene / "scene.txt").write_text(label)
        (scene / "intrinsics.txt").write_text("518.857901 0.000000 284.582449 0 519.469611 208.736166 0 0 1 ")
        millimetres = np.full((48, 64), 2500 + i, np.uint16)
        millimetres[0, 0] = 0
        stored = ((millimetres << 3) | (millimetres >> 13)).astype(np.uint16)
        Image.fromarray(stored).save(scene / "depth_bfx" / f"NYU000{i}.png")


def make_nyud(root: Path) -> None:
    import h5py

    root.mkdir(parents=True)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        depths = np.full((3, 64, 48), 2.0, np.float32)  # MATLAB: pictures, columns, rows
        depths[:, 5, 7] = 0
        file["depths"] = depths
        references = []
        for i, scene in enumerate(("kitchen", "home_office", "cafe")):
            file[f"#refs#/{i}"] = np.array([[ord(c)] for c in scene], np.uint16)
            references.append(file[f"#refs#/{i}"].ref)
        file.create_dataset("sceneTypes", data=np.array([references], dtype=h5py.ref_dtype))


def make_llvip(root: Path) -> None:
    (root / "infrared" / "test").mkdir(parents=True)
    (root / "Annotations").mkdir()
    picture = np.zeros((100, 120), np.uint8)
    picture[20:60, 30:50] = 255
    Image.fromarray(picture).convert("RGB").save(root / "infrared" / "test" / "190001.jpg", quality=95)
    box = "<bndbox><xmin>30</xmin><ymin>20</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>"
    (root / "Annotations" / "190001.xml").write_text(
        "<annotation><size><width>120</width><height>100</height><depth>3</depth></size>"
        f"<object><name>person</name>{box}</object></annotation>"
    )


def make_ego4d(root: Path) -> None:
    uid = "0a02a1ed-a327-4753-b270-e95298984b96"
    other = "5a77dc22-cf06-4a16-b1bf-c3abc0bf6b3b"
    videos = [
        {"video_uid": uid, "duration_sec": 10.0, "scenarios": ["Cooking"]},
        {"video_uid": other, "duration_sec": 10.0, "scenarios": ["Cycling / jogging", "Walking on street"]},
        {"video_uid": "no-imu", "duration_sec": 10.0, "scenarios": ["Carpenter"]},
    ]
    rows = [
        {
            "component_idx": 0,
            "component_timestamp_ms": i * 5,
            "canonical_timestamp_ms": i * 5,
            "gyro_x": 0.1,
            "gyro_y": "" if i == 7 else 0.2,
            "gyro_z": 0.3,
            "accl_x": 1.0,
            "accl_y": 2.0,
            "accl_z": 9.81,
        }
        for i in range(2000)
    ]
    for name in (uid, other):
        write_csv(root / "v2" / "imu" / f"{name}.csv", rows)
    (root / "ego4d.json").write_text(json.dumps({"date": "220216", "videos": videos}))


MAKERS = {
    "esc50": make_esc50,
    "imagenet": make_imagenet,
    "sun_rgbd": make_sun_rgbd,
    "nyud": make_nyud,
    "llvip": make_llvip,
    "ego4d": make_ego4d,
}
EXPECTED = {
    "esc50": (Modality.AUDIO, {("dog",), ("cow",), ("church bells",)}, 3),
    "imagenet": (Modality.VISION, {("tench",), ("crane (n02012849)",), ("crane (n03126707)",)}, 3),
    "sun_rgbd": (Modality.DEPTH, {("bathroom",), ("home office",)}, 19),
    "nyud": (Modality.DEPTH, {("kitchen",), ("home office",), ("other indoor",)}, 10),
    "llvip": (Modality.THERMAL, {("person",), ("background",)}, 2),
    "ego4d": (Modality.IMU, {("Cooking",), ("Cycling / jogging", "Walking on street")}, 4),
}


@pytest.mark.parametrize("name", sorted(LABELLED))
def test_labelled_datasets_are_read_in_their_own_layout(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / "data")
    found = read_dataset(name, tmp_path / "data")
    modality, labels, classes = EXPECTED[name]
    assert found.modality is modality
    assert {item.labels for item in found.items} == labels
    assert len(found.classes) == classes
    for item in found.items:
        assert item.load().modality is modality


def test_depth_is_in_metres_and_holes_are_holes(tmp_path: Path) -> None:
    make_sun_rgbd(tmp_path / "sun")
    sample = read_dataset("sun_rgbd", tmp_path / "sun").items[0].load()
    assert np.isnan(sample.data[0, 0])
    assert np.nanmedian(sample.data) == pytest.approx(2.5)
    assert sample.focal_px == pytest.approx(518.857901)
    make_nyud(tmp_path / "nyu")
    sample = read_dataset("nyud", tmp_path / "nyu").items[0].load()
    assert sample.data.shape == (48, 64)
    assert np.isnan(sample.data[7, 5])
    assert np.nanmedian(sample.data) == 2.0


def test_llvip_crops_the_person_and_an_empty_place_of_the_same_size(tmp_path: Path) -> None:
    make_llvip(tmp_path / "data")
    person, background = read_dataset("llvip", tmp_path / "data").items
    assert person.load().data.mean() > 240
    assert background.load().data.mean() < 10
    assert person.load().data.shape == background.load().data.shape == (40, 20)


def test_ego4d_gives_five_seconds_accelerometer_first(tmp_path: Path) -> None:
    make_ego4d(tmp_path / "data")
    sample = read_dataset("ego4d", tmp_path / "data").items[0].load()
    assert sample.times[-1] - sample.times[0] == pytest.approx(5.0, abs=0.02)
    np.testing.assert_allclose(sample.data[0], [1.0, 2.0, 9.81, 0.1, 0.2, 0.3], rtol=1e-6)


def test_captions_of_audiocaps_and_clotho(tmp_path: Path) -> None:
    root = tmp_path / "audiocaps"
    rows = [
        {"audiocap_id": i, "youtube_id": video, "start_time": 30, "caption": f"caption {i}"}
        for i, video in enumerate(["abc", "abc", "-x_y", "gone"])
    ]
    write_csv(root / "test.csv", rows)
    write_wav(root / "audio" / "abc_30.wav", "dog")
    write_wav(root / "audio" / "-x_y.wav", "cow")
    found = {item.path.name: item.captions for item in read_audiocaps(root)}
    assert found == {"abc_30.wav": ("caption 0", "caption 1"), "-x_y.wav": ("caption 2",)}

    root = tmp_path / "clotho"
    row = {"file_name": "Wind Chimes.wav", **{f"caption_{i}": f"words {i}" for i in range(1, 6)}}
    write_csv(root / "clotho_captions_evaluation.csv", [row, {**row, "file_name": "gone.wav"}])
    write_wav(root / "evaluation" / "Wind Chimes.wav", "dog")
    (item,) = read_clotho(root)
    assert item.captions == tuple(f"words {i}" for i in range(1, 6))


@pytest.mark.parametrize("name", [*sorted(LABELLED), *sorted(CAPTIONED)])
def test_another_layout_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(ImagebindNodeError) as caught:
        {**LABELLED, **CAPTIONED}[name](tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_lists_are_refused(tmp_path: Path) -> None:
    make_ego4d(tmp_path / "ego4d")
    (tmp_path / "ego4d" / "ego4d.json").write_text("{")
    make_llvip(tmp_path / "llvip")
    (tmp_path / "llvip" / "Annotations" / "190001.xml").write_text("<annotation>")
    make_esc50(tmp_path / "esc50")
    (tmp_path / "esc50" / "meta" / "esc50.csv").write_text("filename\n")
    for name in ("ego4d", "llvip", "esc50"):
        with pytest.raises(InvalidInputError, match=name):
            read_dataset(name, tmp_path / name)
    with pytest.raises(InvalidInputError, match="unknown dataset"):
        read_dataset("cifar", tmp_path)
