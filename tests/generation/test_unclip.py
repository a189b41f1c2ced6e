"""Stable unCLIP's real code on a tiny random pipeline of the real classes."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra `generate` is not installed")

from tiny_unclip import DATA, write_pipeline, write_safety_checker

from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.imagebind.encoder import load_imagebind
from imagebind_node.errors import DeviceError, InvalidInputError, ModelFileError, SpaceMismatchError
from imagebind_node.generation import GenerationCancelled, interpolate, load_generator
from imagebind_node.generation.base import MAX_SEED, next_seed
from imagebind_node.generation.unclip import image_norm
from imagebind_node.generation.unclip_files import demo_pictures
from imagebind_node.query import parse_query
from imagebind_node.samples import ImageSample, Modality

STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pipeline(tmp_path_factory.mktemp("unclip"))


@pytest.fixture(scope="module")
def encoder():
    weights = DATA / "reference_small.safetensors"
    return load_imagebind(weights, modalities=["vision", "text"], text_cache=False)


@pytest.fixture(scope="module")
def generator(folder, encoder):
    return load_generator(encoder, folder=folder)


@pytest.fixture(scope="module")
def photo():
    return demo_pictures()[0]


@pytest.fixture(scope="module")
def seen(encoder, photo):
    return encoder.encode(Modality.VISION, [photo])[0]


def library_picture(pipeline, pixels, seed, **options):
    """What the library draws from a picture, its own way."""
    drawn = pipeline(
        image=pixels[None],
        prompt="",
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
        **options,
    ).images[0]
    return (drawn.clip(0, 1) * 255).round().astype(np.uint8)


def assert_same_pixels(picture, expected):
    """Embeddings that are equal up to float rounding may put a value on the other side of a rounding to 8 bits."""
    apart = np.abs(picture.astype(int) - expected)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


@pytest.mark.parametrize("noise_level", [0, 200])
def test_a_pictures_own_embedding_draws_what_the_librarys_image_path_draws(
    folder, encoder, photo, seen, noise_level
):
    """ImageBind's embedding of a picture, stretched, equals the pipeline's: the same pixels under the same seed."""
    pixels = encoder.preprocess(Modality.VISION, ImageSample(photo))
    ours = load_generator(encoder, folder=folder, noise_level=noise_level, memory="full")
    with torch.inference_mode():
        ours.norm = float(ours.pipeline.image_encoder(pixels[None]).image_embeds.norm())
    for seed in (3, 4):
        (picture,) = ours.generate(seen, seed=seed, steps=STEPS)
        expected = library_picture(ours.pipeline, pixels, seed, noise_level=noise_level)
        assert_same_pixels(picture.pixels, expected)
    other = encoder.encode(Modality.VISION, [demo_pictures()[1]])[0]
    assert (ours.generate(other, seed=4, steps=STEPS)[0].pixels != expected).mean() > 0.5


def test_the_pipelines_own_preprocessing_is_imagebinds(generator, encoder, photo):
    theirs = generator.pipeline.feature_extractor(
        images=[photo], return_tensors="pt", input_data_format="channels_last"
    ).pixel_values[0]
    torch.testing.assert_close(
        encoder.preprocess(Modality.VISION, ImageSample(photo)), theirs, atol=0.05, rtol=0
    )


def test_embeddings_are_stretched_to_the_length_of_the_pipelines_own(generator, encoder):
    lengths = []
    for photo in demo_pictures():
        pixels = encoder.preprocess(Modality.VISION, ImageSample(photo))
        with torch.inference_mode():
            lengths.append(float(generator.pipeline.image_encoder(pixels[None]).image_embeds.norm()))
    assert generator.norm == pytest.approx(np.mean(lengths), rel=0.01)
    assert image_norm(generator.pipeline, demo_pictures()[:1]) == pytest.approx(lengths[0], rel=0.01)


def test_a_seed_draws_the_same_picture_whatever_the_count(generator, seen):
    three = generator.generate(seen, count=3, seed=7, steps=STEPS)
    assert [picture.seed for picture in three] == [7, 8, 9]
    assert three[0].pixels.shape == (16, 16, 3) and three[0].pixels.dtype == np.uint8
    (again,) = generator.generate(seen, seed=9, steps=STEPS)
    np.testing.assert_array_equal(again.pixels, three[2].pixels)
    assert (three[0].pixels != three[1].pixels).any()
    random = [generator.generate(seen, steps=1)[0].seed for _ in range(2)]
    assert random[0] != random[1] and all(1 <= seed <= MAX_SEED for seed in random)


def test_seeds_start_over_at_the_largest():
    assert [next_seed(MAX_SEED - 1, index) for index in range(3)] == [MAX_SEED - 1, MAX_SEED, 1]


def test_sums_and_negative_words_change_the_picture(generator, encoder, seen):
    def draw(query, **options):
        return generator.generate(parse_query(query).embed(encoder), seed=5, steps=STEPS, **options)[0].pixels

    alone, summed = draw("text:crane"), draw("text:crane + text:waves")
    assert (alone != summed).any()
    assert (draw("text:crane", negative="waves") != alone).any()
    # Order does not matter, and twice the same is the same.
    np.testing.assert_array_equal(summed, draw("text:waves + text:crane"))
    np.testing.assert_array_equal(alone, draw("text:crane + text:crane"))


def test_a_strip_starts_and_ends_at_its_ends(generator, encoder):
    start, end = encoder.encode(Modality.TEXT, ["a crane", "waves"])
    way = interpolate(start, end, 4)
    angles = [np.arccos(np.clip(a @ b, -1, 1)) for a, b in pairwise(way)]
    assert angles == pytest.approx([angles[0]] * 3, rel=1e-3) and angles[0] > 0.01
    strip = generator.generate_strip(way, seed=2, steps=STEPS)
    assert {picture.seed for picture in strip} == {2}
    for embedding, picture in ((start, strip[0]), (end, strip[-1])):
        expected = generator.generate(embedding, seed=2, steps=STEPS)[0].pixels
        assert_same_pixels(picture.pixels, expected)
    assert (strip[1].pixels != strip[2].pixels).any()


def test_saving_memory_draws_nearly_the_same(folder, encoder, generator, seen):
    whole = load_generator(encoder, folder=folder, memory="full")
    pictures = [g.generate(seen, seed=1, steps=STEPS)[0].pixels for g in (whole, generator)]
    assert np.abs(np.subtract(*pictures, dtype=int)).max() <= 2
    assert generator.pipeline.vae.use_tiling and not whole.pipeline.vae.use_tiling


def test_the_safety_checker_blackens_what_it_refuses(folder, encoder, seen, tmp_path):
    strict = tmp_path / "strict"
    shutil.copytree(folder, strict)
    shutil.rmtree(strict / "safety_checker")
    with pytest.raises(ModelFileError, match=r"models pull stable_unclip .*--no-safety-checker"):
        load_generator(encoder, folder=strict)
    write_safety_checker(strict / "safety_checker", refusing=True)
    (picture,) = load_generator(encoder, folder=strict).generate(seen, seed=1, steps=STEPS)
    assert picture.withheld and not picture.pixels.any()
    (shown,) = load_generator(encoder, folder=strict, safety=False).generate(seen, seed=1, steps=STEPS)
    assert not shown.withheld and shown.pixels.any()
    (passed,) = load_generator(encoder, folder=folder).generate(seen, seed=1, steps=STEPS)
    np.testing.assert_array_equal(passed.pixels, shown.pixels)


def test_progress_is_told_and_can_end_the_generation(generator, seen):
    told = []
    generator.generate(seen, count=2, seed=1, steps=STEPS, progress=lambda *step: told.append(step))
    assert told[-1] == (2 * STEPS, 2 * STEPS) and told == sorted(told)

    def stop(step, steps):
        raise GenerationCancelled("enough")

    with pytest.raises(GenerationCancelled):
        generator.generate(seen, seed=1, steps=STEPS, progress=stop)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"count": 0}, "ask for 1 to 64"),
        ({"count": 65}, "ask for 1 to 64"),
        ({"seed": -1}, "seed -1 is outside"),
        ({"seed": 2**32}, "is outside 0 to 4294967295"),
        ({"steps": -1}, "steps are outside"),
        ({"steps": 501}, "steps are outside"),
    ],
)
def test_numbers_out_of_range_are_refused(generator, seen, options, what):
    with pytest.raises(InvalidInputError, match=what):
        generator.generate(seen, **options)


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"noise_level": 1000}, InvalidInputError, "outside 0 to 999"),
        ({"guidance": 0.5}, InvalidInputError, "outside 1 to 100"),
        ({"norm": float("nan")}, InvalidInputError, "not a number above 0"),
        ({"memory": "none"}, InvalidInputError, "not one of full, slicing"),
        ({"precision": "int8"}, InvalidInputError, "no precision"),
        ({"memory": "offload"}, DeviceError, "use slicing"),
        ({"judge": 1.0}, InvalidInputError, "has no option judge"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, encoder, options, error, what):
    with pytest.raises(error, match=what):
        load_generator(encoder, folder=folder, **options)


def test_another_space_an_empty_query_and_another_width_are_refused(generator, encoder, tmp_path):
    concept = load_encoder("concept", modalities=["text", "audio"])
    with pytest.raises(SpaceMismatchError):
        generator.generate(concept.encode("text", ["dog"])[0])
    from imagebind_node.samples import AudioSample

    (silence,) = concept.encode("audio", [AudioSample(np.zeros(32000, np.float32), 16000)])
    with pytest.raises(InvalidInputError, match="too little evidence"):
        interpolate(silence, silence, 3)
    wide = write_pipeline(tmp_path / "wide", dim=48)
    with pytest.raises(InvalidInputError, match="takes 48-d embeddings"):
        load_generator(encoder, folder=wide)


def test_missing_and_damaged_folders_say_what_to_do(folder, encoder, tmp_path):
    with pytest.raises(ModelFileError, match="models pull stable_unclip --accept-licence"):
        load_generator(encoder, folder=tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    weights = damaged / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="no whole StableUnCLIPImg2ImgPipeline"):
        load_generator(encoder, folder=damaged)
