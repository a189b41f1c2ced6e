"""The decoder of `concept`: shipped weights, real networks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.concept.weights import model_dir, read_card
from imagebind_node.errors import (
    InvalidInputError,
    ModelFileError,
    SpaceMismatchError,
    UnsupportedModalityError,
)
from imagebind_node.generation import load_generator
from imagebind_node.generation.flow import SIDE, PictureFlow
from imagebind_node.generation.sampling import Judge
from imagebind_node.model_store import verify
from imagebind_node.samples import ImageSample, Modality

WORDS = ["a clock", "an umbrella", "a guitar", "a dog", "a car", "a strawberry", "a balloon", "an airplane"]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("concept", modalities=["text", "vision"])


@pytest.fixture(scope="module")
def generator(encoder):
    return load_generator(encoder)


@pytest.fixture(scope="module")
def words(encoder):
    return encoder.encode(Modality.TEXT, WORDS)


def looked_at(encoder, pictures):
    return np.stack([encoder.encode(Modality.VISION, [ImageSample(p.pixels)])[0].vector for p in pictures])


def test_the_card_names_what_the_weights_were_made_of():
    card = read_card(model_dir("concept_decoder"))
    assert sum((model_dir("concept_decoder") / name).stat().st_size for name in card["files"]) <= 40e6
    assert len(verify("concept_decoder")) == len(card["files"])
    assert {"openclipart-png 1:0.18+dfsg-19", "fonts-noto-color-emoji 2.042-0+deb12u1"} == set(
        card["pictures"]
    )
    for package in card["pictures"].values():
        assert len(package["sha256"]) == 64 and package["licence"]


def test_a_picture_is_recognised_as_what_was_asked_for(encoder, generator, words):
    pictures = [generator.generate(word, seed=index + 1)[0] for index, word in enumerate(words)]
    assert pictures[0].pixels.shape == (SIDE, SIDE, 3) and pictures[0].pixels.dtype == np.uint8
    similarity = looked_at(encoder, pictures) @ np.stack([word.vector for word in words]).T
    # By chance one of eight; and each picture fits its own word better than the others', on the whole.
    assert (similarity.argmax(1) == np.arange(len(words))).sum() >= 4
    assert similarity.diagonal().mean() > similarity.mean() + 0.15


def test_the_judge_pulls_pictures_towards_what_was_asked_for(encoder, generator, words):
    plain = load_generator(encoder, judge=0.0)
    fits = []
    for one in (plain, generator):
        pictures = [one.generate(word, seed=3)[0] for word in words[:3]]
        fits.append((looked_at(encoder, pictures) * np.stack([w.vector for w in words[:3]])).sum(1).mean())
    assert fits[1] > fits[0] + 0.02


def test_a_seed_draws_the_same_picture_whatever_the_count(generator, words):
    first, second = generator.generate(words[0], count=2, seed=8, steps=4)
    np.testing.assert_array_equal(generator.generate(words[0], seed=9, steps=4)[0].pixels, second.pixels)
    assert (first.pixels != second.pixels).any() and (first.seed, second.seed) == (8, 9)
    told = []
    generator.generate(words[0], count=2, seed=8, steps=3, progress=lambda *step: told.append(step))
    assert told == [(step, 6) for step in range(1, 7)]


def test_negative_words_change_the_picture_and_need_their_tower(generator, words):
    plain, without = (generator.generate(words[3], seed=5, steps=6, negative=n)[0] for n in ("", "a cat"))
    assert (plain.pixels != without.pixels).any()
    deaf = load_generator(load_encoder("concept", modalities=["vision"]))
    with pytest.raises(UnsupportedModalityError, match="text"):
        deaf.generate(words[3], seed=5, negative="a cat")


def test_what_does_not_fit_is_refused(encoder, generator, words, monkeypatch, tmp_path):
    for options, what in (
        ({"guidance": 0.0}, "outside 1 to 100"),
        ({"judge": -1.0}, "outside 0 to 10"),
        ({"memory": "full"}, "has no option memory"),
    ):
        with pytest.raises(InvalidInputError, match=what):
            load_generator(encoder, **options)
    from imagebind_node.embedding import Embedding, Space

    elsewhere = Embedding(np.ones(384, np.float32), Modality.TEXT, Space("elsewhere", 384))
    with pytest.raises(SpaceMismatchError, match="elsewhere"):
        generator.generate(elsewhere)
    damaged = tmp_path / "concept_decoder"
    shutil.copytree(model_dir("concept_decoder"), damaged)
    weights = damaged / "decoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    shutil.copytree(model_dir("concept"), tmp_path / "concept")
    monkeypatch.setenv("IMAGEBIND_NODE_MODELS", str(tmp_path))
    with pytest.raises(ModelFileError, match="is damaged"):
        load_generator(encoder)


def test_a_picture_without_noise_is_its_own_estimate():
    """At the end of the flow nothing is left to estimate, whatever the weights."""
    torch.manual_seed(0)
    flow = PictureFlow(pictures=3).eval()
    basis = torch.linalg.qr(torch.randn(flow.rough.basis.shape[1], flow.rough.basis.shape[0])).Q.T
    flow.rough.basis.copy_(basis)
    picture = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    with torch.inference_mode():
        estimate = flow(picture, torch.ones(1), torch.zeros(1, 384))
    torch.testing.assert_close(estimate, picture, atol=1e-4, rtol=1e-4)


def test_the_judge_follows_the_gradient_of_the_cosine():
    """A look that sees only how red a picture is: the pull reddens it, by the length asked for."""

    def look(pictures):
        red, green = pictures[:, 0].mean((1, 2)), pictures[:, 1].mean((1, 2))
        return torch.nn.functional.normalize(torch.stack([red, green], -1), dim=-1)

    grey = torch.full((1, 3, SIDE, SIDE), 0.5)
    judge = Judge(look, 48, strength=0.2, views=2)
    pull = judge.pull(grey, torch.tensor([[1.0, 0.0]]), torch.Generator().manual_seed(0))
    assert pull[0, 0].mean() > 0 > pull[0, 1].mean() and abs(pull[0, 2]).max() == 0
    assert float(pull.square().mean().sqrt()) == pytest.approx(0.2 * 0.5, rel=1e-3)
