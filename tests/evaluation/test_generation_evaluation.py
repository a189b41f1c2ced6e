"""The round trip of generation: its arithmetic, with a generator whose right answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation import evaluate_generation
from imagebind_node.generation.base import Picture, PictureGenerator
from imagebind_node.samples import Modality

DEMO = Path(__file__).parents[2] / "demo"


class Copyist(PictureGenerator):
    """Draws the one of its pictures whose embedding is nearest: what it should reach can be computed."""

    name, default_steps = "copyist", 1

    def __init__(self, encoder, pictures):
        self.space, self._pictures = encoder.space, pictures
        self._vectors = np.stack([e.vector for e in encoder.encode(Modality.VISION, pictures)])

    def _draw(self, vector, seed, steps, negative, progress):
        return Picture(self._pictures[int((self._vectors @ vector).argmax())], seed)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept", modalities=["vision", "audio", "text"])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """The four animals of the meadow and their sounds; a fifth entry is silent."""
    folder = tmp_path_factory.mktemp("pairs")
    scenes = json.loads((DEMO / "scenes.json").read_text())["scenes"]
    things = next(scene["things"] for scene in scenes if scene["image"] == "meadow.jpg")
    entries = []
    with Image.open(DEMO / "meadow.jpg") as scene:
        for name, boxes in things.items():
            scene.crop(boxes[0]).save(folder / f"{name}.png")
            entries.append({"text": name, "image": f"{name}.png", "sound": str(DEMO / f"{name}.flac")})
    soundfile.write(folder / "silence.wav", np.zeros(32000, np.float32), 16000)
    entries.append({"text": "train", "image": entries[0]["image"], "sound": "silence.wav"})
    (folder / "pairs.json").write_text(json.dumps(entries))
    return folder / "pairs.json"


@pytest.fixture(scope="module")
def copyist(encoder, pairs):
    entries = json.loads(pairs.read_text())[:4]
    return Copyist(encoder, [np.asarray(Image.open(pairs.parent / e["image"])) for e in entries])


def test_a_perfect_copyist_reaches_what_the_nearest_picture_reaches(encoder, pairs, copyist):
    kept = []
    report = evaluate_generation(
        encoder, copyist, pairs, draws=2, keep=lambda index, pixels: kept.append((index, pixels.shape))
    )
    json.dumps(report)
    assert (report["n"], report["drawn"], report["draws"]) == (5, 4, 2)
    assert [index for index, _ in kept] == [0, 0, 1, 1, 2, 2, 3, 3]
    trip, query = report["round_trip"]["recall_at_1"], report["query"]["recall_at_1"]
    assert trip["chance"] == pytest.approx(0.2)
    # The silent entry is not drawn and counts as wrong; the others find their animal.
    assert trip["value"] == pytest.approx(0.8) and trip["n"] == 5
    assert trip["ci95"][0] < 0.8 < trip["ci95"][1]
    assert query["value"] >= 0.6 and report["round_trip"]["recall_at_5"]["chance"] == 1.0
    assert report["round_trip"]["recall_at_5"]["value"] == pytest.approx(0.8)


def test_one_picture_for_everything_is_right_by_chance(encoder, pairs, copyist):
    class Stubborn(Copyist):
        def _draw(self, vector, seed, steps, negative, progress):
            return Picture(self._pictures[0], seed)

    stubborn = Stubborn(encoder, copyist._pictures)
    report = evaluate_generation(encoder, stubborn, pairs, query=Modality.TEXT, draws=1)
    assert report["query_modality"] == "text" and report["drawn"] == 5
    assert report["round_trip"]["recall_at_1"]["value"] == pytest.approx(0.2)


def test_a_gallery_of_ones_own_is_searched(encoder, pairs, copyist):
    one = copyist._vectors[:1]
    report = evaluate_generation(encoder, copyist, pairs, query=Modality.TEXT, draws=1, gallery=one)
    assert report["nearest_picture"]["recall_at_1"]["value"] == pytest.approx(0.2)


def test_a_list_without_pictures_is_refused(encoder, copyist, tmp_path):
    (tmp_path / "pairs.json").write_text('[{"text": "a"}]')
    with pytest.raises(InvalidInputError, match="needs 'image'"):
        evaluate_generation(encoder, copyist, tmp_path / "pairs.json")
