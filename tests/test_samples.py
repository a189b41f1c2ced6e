"""Samples refuse what a model could not use, in one line that says what was wrong."""

import copy
import pickle

import numpy as np
import pytest

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import (
    ArraySample,
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Modality,
    TextSample,
    ThermalSample,
    VideoSample,
    new_modality,
    parse_modality,
)

PICTURE = np.zeros((4, 6, 3), np.uint8)
SOUND = np.zeros(100, np.float32)
IMU = np.zeros((3, 6), np.float32)
TIMES = np.array([0.0, 0.1, 0.2])


def test_valid_samples_are_taken_without_a_copy():
    assert ImageSample(PICTURE).data is PICTURE
    assert AudioSample(SOUND, 16000).data is SOUND
    assert AudioSample(SOUND, 16000).duration == pytest.approx(0.00625)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ImageSample(PICTURE.astype(np.float32)), "uint8"),
        (lambda: ImageSample(PICTURE[..., 0]), "shape"),
        (lambda: ImageSample(PICTURE[..., :2]), "3 colour channels"),
        (lambda: ImageSample(np.zeros((0, 6, 3), np.uint8)), "empty"),
        (lambda: ImageSample(np.broadcast_to(PICTURE[:1, :1], (1, 20000, 3))), "larger than"),
        (lambda: ImageSample([[1]]), "list"),
        (lambda: VideoSample(PICTURE[None], np.zeros(2)), "frame times"),
        (lambda: VideoSample(PICTURE, np.zeros(4)), "(T, H, W, 3)"),
        (lambda: DepthSample(np.zeros((4, 6), np.float64)), "float32"),
        (lambda: ThermalSample(np.zeros((4, 6), np.int32)), "uint16"),
        (lambda: AudioSample(np.zeros(0, np.float32), 16000), "empty"),
        (lambda: AudioSample(SOUND * np.nan, 16000), "NaN"),
        (lambda: AudioSample(SOUND.astype(np.int16), 16000), "int16"),
        (lambda: AudioSample(SOUND, 0), "sample rate"),
        (lambda: ImuSample(IMU[:, :3], TIMES), "(N, 6)"),
        (lambda: ImuSample(IMU, TIMES[:2]), "time"),
        (lambda: ImuSample(IMU, TIMES[::-1]), "increasing"),
        (lambda: ImuSample(IMU + np.float32(np.inf), TIMES), "NaN or infinite"),
        (lambda: TextSample("  "), "empty"),
        (lambda: TextSample(b"dog"), "empty"),
        (lambda: parse_modality("smell"), "vision, text, audio, depth, thermal, imu"),
    ],
)
def test_bad_samples_are_refused_with_a_reason(make, complaint):
    with pytest.raises(InvalidInputError) as error:
        make()
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_modalities_are_plain_strings():
    assert parse_modality("audio") is Modality.AUDIO
    assert f"embedding/{Modality.IMU}" == "embedding/imu"


def test_a_further_modality_is_one_like_the_others():
    sonar = new_modality("test_sonar")
    assert new_modality("test_sonar") is Modality("test_sonar") is parse_modality("test_sonar") is sonar
    assert pickle.loads(pickle.dumps(sonar)) is sonar and copy.deepcopy(sonar) is sonar
    assert {sonar: 1}[parse_modality("test_sonar")] == 1 and str(sonar) == "test_sonar"
    assert len(list(Modality)) == 6 and sonar not in frozenset(Modality)
    assert new_modality("audio") is Modality.AUDIO


@pytest.mark.parametrize("name", ["", "Sonar", "../x", "a b", "2d", "fused", "image", "x" * 41, 7])
def test_bad_names_of_modalities_are_refused(name):
    with pytest.raises(InvalidInputError, match="name of a modality"):
        new_modality(name)


def test_no_flood_of_modalities(monkeypatch):
    monkeypatch.setattr("imagebind_node.samples._further", {f"m{i}": None for i in range(256)})
    with pytest.raises(InvalidInputError, match="more than 256"):
        new_modality("one_more")


@pytest.mark.parametrize("data", [[1.0], np.zeros(0), np.array(3.0), np.array(["a"])])
def test_measurements_are_numbers(data):
    with pytest.raises(InvalidInputError, match="array of numbers"):
        ArraySample(data, new_modality("test_sonar"))
