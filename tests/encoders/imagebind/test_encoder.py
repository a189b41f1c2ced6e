"""Samples in, embeddings out; text that needs no text tower; a stream."""

from pathlib import Path

import numpy as np
import pytest
from imagebind_reference import CHECKPOINT

from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.imagebind.encoder import load_imagebind
from imagebind_node.errors import UnsupportedModalityError
from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Modality,
    TextSample,
    ThermalSample,
    VideoSample,
)

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (6, 60, 80, 3), dtype=np.uint8)
SAMPLES = {
    Modality.VISION: ImageSample(PIXELS[0], stamp=5, frame_id="camera"),
    Modality.AUDIO: AudioSample(RNG.normal(0, 0.1, 40000).astype(np.float32), 16000, 5, "microphone"),
    Modality.DEPTH: DepthSample(RNG.uniform(1, 5, (60, 80)).astype(np.float32), 50.0, 0.1, 5, "camera"),
    Modality.THERMAL: ThermalSample(RNG.integers(0, 255, (60, 80), dtype=np.uint8), 5, "camera"),
    Modality.IMU: ImuSample(
        RNG.normal(0, 1, (1200, 6)).astype(np.float32), np.arange(1200) / 200, 5, "imu_link"
    ),
    Modality.TEXT: TextSample("a dog", 5),
}


@pytest.mark.parametrize("modality", list(Modality))
def test_sample_becomes_an_embedding(encoder, modality):
    sample = SAMPLES[modality]
    (embedding,) = encoder.encode(modality, [sample])
    assert embedding.modality is modality
    assert embedding.space == encoder.space
    assert (embedding.stamp, embedding.frame_id) == (sample.stamp, sample.frame_id)
    assert embedding.window == {Modality.AUDIO: 2.0, Modality.IMU: 5.0}.get(modality, 0.0)
    expected = encoder.forward(modality, encoder.preprocess(modality, sample)[None])[0].numpy()
    assert np.abs(embedding.vector - expected).max() < 1e-6


def test_pictures_and_videos_in_one_call(encoder):
    picture = SAMPLES[Modality.VISION]
    video = VideoSample(PIXELS, np.arange(6) / 2.0, stamp=7)
    mixed = encoder.encode("vision", [picture, video, picture])
    assert [e.stamp for e in mixed] == [5, 7, 5]
    assert mixed[0] @ mixed[2] == pytest.approx(1.0, abs=1e-6)
    (alone,) = encoder.encode("vision", [video])
    assert mixed[1] @ alone == pytest.approx(1.0, abs=1e-6)
    assert mixed[0] @ mixed[1] < 0.99999


def test_stream_equals_a_recording_of_two_seconds(encoder):
    sound = RNG.normal(0, 0.1, 32000).astype(np.float32)
    front = encoder.front_end(Modality.AUDIO)
    assert front.input() is None
    for block in np.array_split(sound, 13):
        front.push(block)
    (streamed,) = encoder.encode_inputs(Modality.AUDIO, [front.input()], [AudioSample(sound, 16000)])
    (recorded,) = encoder.encode("audio", [AudioSample(sound, 16000)])
    assert streamed @ recorded > 0.99999


def test_cached_text_needs_no_text_tower():
    first = load_imagebind(CHECKPOINT, modalities=["text", "imu"])
    (expected,) = first.encode("text", ["a red train"])
    first.drop(Modality.TEXT)
    assert first.modalities == {Modality.IMU}
    assert np.array_equal(first.encode("text", ["a red train"])[0].vector, expected.vector)
    later = load_imagebind(CHECKPOINT, modalities=["imu"])
    pair = later.encode("text", [TextSample("a red train", 3), "a red train"])
    assert [e.stamp for e in pair] == [3, 0]
    assert np.array_equal(pair[0].vector, expected.vector)
    with pytest.raises(UnsupportedModalityError, match="text tower .* 'a blue train' was never encoded"):
        later.encode("text", ["a red train", "a blue train"])


def test_cache_of_other_weights_is_not_used(tmp_path):
    from safetensors.torch import load_file, save_file

    load_imagebind(CHECKPOINT, modalities=["text"]).encode("text", ["snow"])
    weights = load_file(CHECKPOINT)
    weights["modality_heads.text.proj.1.weight"] += 1.0
    other = tmp_path / "other.safetensors"
    save_file(weights, other)
    with pytest.raises(UnsupportedModalityError):
        load_imagebind(other, config=CHECKPOINT.with_suffix(".json"), modalities=["imu"]).encode(
            "text", ["snow"]
        )


def test_tower_that_is_not_loaded():
    encoder = load_encoder("imagebind_huge", checkpoint=CHECKPOINT, modalities=["imu"])
    with pytest.raises(UnsupportedModalityError, match="no audio tower loaded"):
        encoder.encode("audio", [SAMPLES[Modality.AUDIO]])
    with pytest.raises(UnsupportedModalityError):
        encoder.drop(Modality.AUDIO)


def test_fp32_towers_share_memory_with_the_file(encoder):
    # Mapped, not copied: the big tables of a tower cost nothing until they are read.
    address = encoder.network.tower(Modality.TEXT).preprocessor.token_embedding.weight.data_ptr()
    mappings = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = [tuple(int(end, 16) for end in m[0].split("-")) for m in mappings if m[-1] == str(CHECKPOINT)]
    assert any(first <= address < last for first, last in spans)
