"""Null regions: collection with real detectors, file, refusals, and that scores keep their word."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from imagebind_node.detection.null_regions import collect_null_regions, load_null_regions, save_null_regions
from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders.base import load_encoder
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.samples import ImageSample, Modality
from tests.detection.small_imagebind import small_encoder


def pictures(count: int, seed: int) -> list[ImageSample]:
    """Blocks of random colours, so that patches differ."""
    rng = np.random.default_rng(seed)
    return [
        ImageSample(rng.integers(0, 255, (8, 8, 3), np.uint8).repeat(28, 0).repeat(28, 1))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def detector():
    return load_detector("dense", small_encoder())


@pytest.fixture(scope="module")
def rows(detector):
    return collect_null_regions(detector, pictures(4, 0), count=600)


def test_collection_draws_from_all_pictures(detector, rows):
    again = collect_null_regions(detector, pictures(4, 0), count=600)
    np.testing.assert_array_equal(rows, again)
    assert rows.shape == (600, 32)
    first = detector.regions(pictures(4, 0)[0]).embeddings
    own = (rows @ first.T).max(1) > 1 - 1e-6
    assert 0.15 < own.mean() < 0.35


def test_scores_keep_their_word_on_other_pictures(detector, rows, tmp_path):
    path = tmp_path / "null.safetensors"
    save_null_regions(path, rows, "dense", detector.space, "random blocks")
    calibrated = load_detector("dense", small_encoder(), null_regions=path)
    classes = calibrated.new_classes()
    rng = np.random.default_rng(3)
    cues = [Embedding(row, Modality.AUDIO, detector.space) for row in rng.standard_normal((40, 32))]
    classes.replace([str(i) for i in range(40)], cues)
    fresh = np.concatenate([calibrated.regions(picture).embeddings for picture in pictures(4, 1)])
    scores = classes.percentiles(fresh, classes.similarities(fresh))
    assert (scores >= 0.9).mean() == pytest.approx(0.1, abs=0.03)
    assert (scores >= 0.5).mean() == pytest.approx(0.5, abs=0.06)


def test_files_keep_rows_to_half_precision(detector, rows, tmp_path):
    path = tmp_path / "null.safetensors"
    save_null_regions(path, rows, "dense", detector.space, "random blocks")
    loaded = load_null_regions(path, "dense", detector.space)
    np.testing.assert_allclose(loaded, rows, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(loaded, axis=1), 1, atol=1e-6)


def test_foreign_damaged_and_missing_files_are_refused(detector, rows, tmp_path):
    path = tmp_path / "null.safetensors"
    save_null_regions(path, rows, "dense", detector.space, "random blocks")
    with pytest.raises(ModelFileError, match="not of"):
        load_null_regions(path, "crops", detector.space)
    with pytest.raises(ModelFileError, match="not of"):
        load_null_regions(path, "dense", Space("other", 32))
    with pytest.raises(ModelFileError, match="make_null_regions"):
        load_detector("dense", small_encoder(), null_regions=tmp_path / "none.safetensors")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelFileError, match="damaged"):
        load_null_regions(path, "dense", detector.space)
    save_file({"embeddings": rows}, path)
    with pytest.raises(ModelFileError, match="not of"):
        load_null_regions(path, "dense", detector.space)
    save_null_regions(path, np.zeros((60, 32)), "dense", detector.space, "nothing")
    with pytest.raises(ModelFileError, match="unit"):
        load_null_regions(path, "dense", detector.space)


def test_too_few_regions_are_refused(detector):
    with pytest.raises(InvalidInputError, match="at least 50"):
        collect_null_regions(detector, [])


def test_concept_is_calibrated_by_what_ships_with_it():
    encoder = load_encoder("concept", modalities=["vision"])
    shipped = load_detector("concept", encoder)
    assert shipped.null_regions.shape == (300, 384)
    classes = shipped.new_classes()
    cue = Embedding(shipped.null_regions[0], Modality.VISION, shipped.space)
    classes.replace(["it"], [cue])
    scores = classes.percentiles(shipped.null_regions, classes.similarities(shipped.null_regions))
    assert scores[0, 0] > 0.99
    assert scores.mean() == pytest.approx(0.5, abs=0.1)
    assert load_detector("concept", encoder, null_regions=None).null_regions is None
