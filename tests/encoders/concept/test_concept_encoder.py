"""The encoder on real pictures, sounds and words (demo/CREDITS.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.concept import log_mel
from imagebind_node.errors import InvalidInputError, UnsupportedModalityError
from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    Modality,
    TextSample,
    ThermalSample,
    VideoSample,
)

DEMO = Path(__file__).parents[3] / "demo"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept")


def sound(name: str) -> AudioSample:
    data, rate = soundfile.read(DEMO / f"{name}.flac", dtype="float32")
    return AudioSample(data, rate)


def one(encoder, modality, sample):
    return encoder.encode(modality, [sample])[0]


def test_sounds_find_their_words(encoder):
    names = ["dog", "sheep", "duck", "cow"]
    sounds = np.stack([one(encoder, "audio", sound(name)).vector for name in names])
    texts = np.stack([one(encoder, "text", name).vector for name in names])
    assert ((sounds @ texts.T).argmax(1) == np.arange(len(names))).all()


def test_a_picture_finds_its_words(encoder):
    picture = one(encoder, "vision", DEMO / "meadow.jpg")
    near, far = (one(encoder, "text", words) for words in ("farm animals on grass", "a computer keyboard"))
    assert picture @ near > picture @ far + 0.1


def test_embeddings_say_what_they_saw(encoder):
    dog = one(encoder, "audio", sound("dog"))
    assert dog.space == encoder.space and dog.space.dim == 384
    assert abs(np.linalg.norm(dog.vector) - 1) < 1e-5
    assert dog.window == pytest.approx(0.975) and not dog.abstained and 0 < dog.confidence <= 1
    names = [name for name, _ in dog.labels]
    scores = [score for _, score in dog.labels]
    assert {"Dog", "Bark"} & set(names) and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("level", [1e-3, 1e-2, 0.1, 1.0])
def test_white_noise_abstains(encoder, level):
    noise = np.random.default_rng(3).standard_normal(80_000) * level / 3
    assert one(encoder, "audio", AudioSample(np.clip(noise, -1, 1).astype(np.float32), 16_000)).abstained


@pytest.mark.parametrize("count", [1, 400, 80_000])
def test_silence_abstains(encoder, count):
    silence = one(encoder, "audio", AudioSample(np.zeros(count, np.float32), 16_000))
    assert silence.abstained and silence.confidence == 0


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_a_blank_picture_abstains(encoder, grey):
    assert one(encoder, "vision", ImageSample(np.full((480, 640, 3), grey, np.uint8))).abstained


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (48_000, 6), (22_050, 1)])
def test_any_rate_and_channel_count(encoder, rate, channels):
    from scipy.signal import resample_poly

    dog = sound("dog")
    other = resample_poly(dog.data, rate, dog.sample_rate).astype(np.float32)
    if channels > 1:
        other = np.repeat(other[:, None], channels, 1)
    # At 8 kHz half of the spectrum is gone; the dog is not.
    least = 0.75 if rate < 16_000 else 0.95
    assert one(encoder, "audio", AudioSample(other, rate)) @ one(encoder, "audio", dog) > least


def test_a_stream_sees_what_the_file_shows(encoder):
    cow = sound("cow")
    stream = encoder.front_end(Modality.AUDIO)
    for start in range(0, 15_600, 1000):
        stream.push(cow.data[start : min(start + 1000, 15_600)])
    (live,) = encoder.encode_inputs(Modality.AUDIO, [stream.input()], [cow])
    part = one(encoder, "audio", AudioSample(cow.data[: log_mel.PATCH_SAMPLES], 16_000))
    assert live @ part > 0.99999


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (223, 225), (2160, 3840)])
def test_pictures_of_any_size(encoder, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert one(encoder, "vision", ImageSample(pixels)).vector.shape == (384,)


def test_depth_and_thermal_go_through_the_image_tower(encoder):
    rows = np.linspace(0.5, 8, 240, dtype=np.float32)[:, None].repeat(320, 1)
    rows[100:120] = np.nan
    depth = one(encoder, "depth", DepthSample(rows))
    thermal = one(encoder, "thermal", ThermalSample(rows))
    assert depth.modality is Modality.DEPTH and thermal.modality is Modality.THERMAL
    # Gain and offset of a thermal camera matter no more than rounding.
    assert thermal @ one(encoder, "thermal", ThermalSample(rows * 3 + 200)) > 0.99


def test_depth_without_measurement_is_refused(encoder):
    with pytest.raises(InvalidInputError, match="no valid pixel"):
        one(encoder, "depth", DepthSample(np.full((10, 10), np.nan, np.float32)))


def test_long_text_is_cut_and_padding_does_not_matter(encoder):
    assert one(encoder, "text", "word " * 5000).vector.shape == (384,)
    alone = one(encoder, "text", "dog")
    tokens = encoder.preprocess(Modality.TEXT, TextSample("dog"))
    padded = torch.cat([tokens, torch.zeros(20, dtype=torch.int64)])[None]
    assert float(encoder.forward(Modality.TEXT, padded)[0] @ torch.from_numpy(alone.vector.copy())) > 0.99999


def test_forward_takes_batches(encoder):
    inputs = torch.stack([encoder.preprocess(Modality.AUDIO, s) for s in [sound("dog")] * 2])
    vectors = encoder.forward(Modality.AUDIO, inputs)
    assert vectors.shape == (2, 384) and vectors.dtype is torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_bfloat16_sees_the_same(encoder):
    fast = load_encoder("concept", modalities=["vision"], precision="bf16")
    assert one(encoder, "vision", DEMO / "meadow.jpg") @ one(fast, "vision", DEMO / "meadow.jpg") > 0.98


def test_video_and_unloaded_towers_are_refused(encoder):
    clip = VideoSample(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2.0))
    with pytest.raises(InvalidInputError, match="frames"):
        one(encoder, "vision", clip)
    ears = load_encoder("concept", modalities=["audio"])
    assert not hasattr(ears, "_images") and not hasattr(ears, "_text_network")
    with pytest.raises(UnsupportedModalityError, match="text"):
        ears.encode("text", ["dog"])


@pytest.mark.parametrize(
    ("setting", "word"), [({"precision": "int8"}, "precision"), ({"device": "meta"}, "device")]
)
def test_settings_it_has_not_are_refused(setting, word):
    with pytest.raises(InvalidInputError, match=word):
        load_encoder("concept", modalities=["audio"], **setting)
