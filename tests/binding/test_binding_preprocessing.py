"""What towers are fed: shapes, streams that equal whole sounds, and one clear error for what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagebind_node.binding.bound import load_bound, save_bound
from imagebind_node.binding.preprocessing import build_preprocessing
from imagebind_node.binding.towers import build_tower
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import (
    ArraySample,
    AudioSample,
    DepthSample,
    ImuSample,
    ThermalSample,
    new_modality,
)
from imagebind_node.streaming.audio_stream import AudioStream

RNG = np.random.default_rng(0)
SOUND = AudioSample(RNG.uniform(-0.5, 0.5, 48_000).astype(np.float32), 16_000)
SHORT = AudioSample(SOUND.data[:4000], 8_000)
METRES = DepthSample(RNG.uniform(1, 4, (48, 64)).astype(np.float32))
HEAT = ThermalSample(RNG.integers(29_000, 31_000, (48, 64), np.uint16))
MOTION = ImuSample(RNG.normal(size=(600, 6)).astype(np.float32), np.arange(600) / 100)


@pytest.mark.parametrize(
    ("section", "sample", "shape"),
    [
        ("array", ArraySample(np.arange(6), new_modality("test_array")), (6,)),
        ({"name": "grey", "side": 32}, METRES, (1, 32, 32)),
        ("grey", HEAT, (1, 64, 64)),
        ({"name": "log_mel", "clips": 2}, SOUND, (2, 1, 96, 64)),
        ("log_mel", SHORT, (3, 1, 96, 64)),
        ("yamnet", SOUND, (1024,)),
        ({"name": "imagebind.audio", "clips": 1}, SOUND, (1, 1, 128, 204)),
        ("imagebind.depth", METRES, (1, 224, 224)),
        ("imagebind.thermal", HEAT, (1, 224, 224)),
        ({"name": "imagebind.imu", "rate": 50, "seconds": 2.56}, MOTION, (6, 128)),
    ],
)
def test_inputs_have_one_shape_and_finite_numbers(section, sample, shape):
    made = build_preprocessing(section).function(sample)
    assert tuple(made.shape) == shape and made.dtype is torch.float32 and torch.isfinite(made).all()
    if section == "grey":
        assert made.min() >= -1 and made.max() <= 1


def test_grey_is_for_depth_and_thermal():
    with pytest.raises(InvalidInputError, match="depth and thermal"):
        build_preprocessing("grey").function(SOUND)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_stream_of_sound_is_embedded_as_its_newest_window(tmp_path, rate):
    """A bound tower in the encoder node's audio stream: the window that `encode` would be given."""
    tower = {"name": "conv2d", "channels": 1, "widths": [8, 16], "blocks": 1}
    card = {
        "modality": "audio",
        "space": {"id": "concept-1", "dim": 384},
        "tower": tower,
        "preprocessing": {"name": "log_mel", "clips": 1},
    }
    save_bound(tmp_path, build_tower(tower, 384, seed=0), card)
    bound = load_bound(tmp_path)
    stream = AudioStream(bound.front_end(), hop=0.1)
    seconds = np.arange(2 * rate) / rate
    sound = (0.3 * np.sin(2 * np.pi * 440 * seconds * (1 + seconds))).astype(np.float32)
    ready = None
    for start in range(0, len(sound), rate // 50):
        stream.push(AudioSample(sound[start : start + rate // 50], rate), start)
        ready = stream.next_input() or ready
    tensor, _, _ = ready
    newest = AudioSample(sound[-round(bound.window * rate) :], rate)
    streamed, whole = bound.forward(tensor[None]), bound.forward(bound.preprocess(newest)[None])
    assert float((streamed * whole).sum()) > 0.999


@pytest.mark.parametrize(
    ("modality", "section", "sample"),
    [
        ("audio", {"name": "imagebind.audio", "clips": 1}, SOUND),
        ("depth", "imagebind.depth", METRES),
        ("thermal", "imagebind.thermal", HEAT),
        ("imu", "imagebind.imu", MOTION),
    ],
)
def test_small_towers_of_imagebinds_kind_can_be_trained(modality, section, sample):
    options = {"modality": modality, "width": 32, "blocks": 2, "heads": 2, "drop_path": 0.1}
    tower = build_tower({"name": "imagebind", **options}, 384, seed=0).train()
    batch = torch.stack([build_preprocessing(section).function(sample)] * 2)
    rows = tower(batch)
    assert rows.shape == (2, 384)
    rows.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in tower.parameters())
