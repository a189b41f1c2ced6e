"""Pictures and video clips equal what the original's loader makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

from imagebind_node.preprocessing.clips import clip_spans
from imagebind_node.preprocessing.image import (
    IMAGE,
    VideoParameters,
    check_image,
    clip_frames,
    preprocess_image,
    preprocess_video,
    resize_and_crop,
)
from imagebind_node.samples import ImageSample, VideoSample

DATA = Path(__file__).parents[1] / "data" / "preprocessing" / "images.npz"
MEAN = np.array(IMAGE.mean, np.float32)[:, None, None]
STD = np.array(IMAGE.std, np.float32)[:, None, None]


@pytest.mark.parametrize("name", ["vga", "portrait", "square", "hd", "small"])
def test_golden_pictures(name):
    with np.load(DATA) as golden:
        picture, grey = golden[f"image_{name}"], golden[f"image_{name}_grey"]
    output = preprocess_image(ImageSample(picture))
    assert output.shape == (3, 224, 224)
    assert output.dtype == torch.float32
    levels = (output.numpy() * STD + MEAN) * 255.0
    assert np.abs(levels - grey).max() <= 1.01
    assert np.abs(levels - grey).mean() < 0.01
    expected = (grey.astype(np.float32) / 255.0 - MEAN) / STD
    assert np.abs(output.numpy() - expected).max() <= 1.01 / 255 / min(IMAGE.std)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 500), width=st.integers(1, 500), seed=st.integers(0, 99))
def test_equals_whole_resize_then_crop(height, width, seed):
    if max(height, width) > 32 * min(height, width):
        return
    data = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    short = min(height, width)
    shape = (
        (int(224 * width / short), 224)
        if height == short and width > height
        else (224, int(224 * height / width))
    )
    picture = Image.fromarray(data).resize(shape, Image.Resampling.BICUBIC)
    left, top = round((shape[0] - 224) / 2), round((shape[1] - 224) / 2)
    expected = np.asarray(picture.crop((left, top, left + 224, top + 224)))
    assert np.abs(resize_and_crop(data).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 10000), (10000, 1), (2, 3), (224, 225)])
def test_any_size_works_in_bounded_memory(shape):
    output = preprocess_image(ImageSample(np.full((*shape, 3), 200, np.uint8)))
    expected = ((200 / 255 - MEAN) / STD).ravel()
    assert output.shape == (3, 224, 224)
    np.testing.assert_allclose(output.numpy().mean(axis=(1, 2)), expected, atol=1e-5)


def test_samples_are_not_written_to_and_may_be_views():
    data = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    data.setflags(write=False)
    forward = preprocess_image(ImageSample(data))
    reversed_view = preprocess_image(ImageSample(data[..., ::-1]))
    np.testing.assert_array_equal(
        (reversed_view.numpy() * STD + MEAN).round(4), (forward.numpy() * STD + MEAN)[::-1].round(4)
    )


def test_clip_spans_of_the_original():
    # Known from the original: 5 s of sound in three clips.
    assert [(float(a), float(b)) for a, b in clip_spans(5.0, 2, 3)] == [(0, 2), (1, 3), (2, 4)]
    assert [(float(a), float(b)) for a, b in clip_spans(1.0, 2, 3)] == [(0, 2)] * 3
    assert float(clip_spans(3.7, 2, 3)[1][0]) == pytest.approx(1.7 / 3)


def test_clip_frames():
    # 10 s at 10 Hz: five clips of 2 s every 1.6 s; the first and last of the 20 frames of each.
    assert clip_frames(np.arange(100) / 10) == [[0, 19], [16, 35], [32, 51], [48, 67], [64, 83]]
    assert clip_frames(np.arange(5) / 10) == [[0, 4]] * 5
    assert clip_frames(np.zeros(1)) == [[0, 0]] * 5
    assert clip_frames(np.arange(100) / 10, VideoParameters(clips=1, frames=3)) == [[0, 9, 19]]


def _literal_video(frames: np.ndarray, rate: float) -> torch.Tensor:
    """The original's recipe, step by step, on frames held as a whole."""
    outputs = []
    for start, end in clip_spans(len(frames) / rate, 2, 5):
        clip = frames[int(np.ceil(rate * start)) : min(int(np.ceil(rate * end)), len(frames))]
        video = torch.from_numpy(clip[[0, -1]]).float().permute(3, 0, 1, 2) / 255.0
        height, width = video.shape[2:]
        size = (int(height / width * 224), 224) if width < height else (224, int(width / height * 224))
        video = interpolate(video, size=size, mode="bilinear", align_corners=False)
        video = (video - torch.from_numpy(MEAN)[:, None]) / torch.from_numpy(STD)[:, None]
        rest = max(size) - 224
        for offset in (0, int(np.ceil(rest / 2)), rest):
            y, x = (offset, 0) if size[0] > size[1] else (0, offset)
            outputs.append(video[:, :, y : y + 224, x : x + 224])
    return torch.stack(outputs)


@pytest.mark.parametrize(
    ("count", "height", "width", "rate"),
    [(73, 60, 80, 29.97), (30, 64, 48, 15.0), (12, 50, 50, 4.0), (61, 301, 480, 25.0)],
)
def test_video_equals_the_recipe(count, height, width, rate):
    frames = np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    output = preprocess_video(VideoSample(frames, np.arange(count) / rate))
    assert output.shape == (15, 3, 2, 224, 224)
    assert (output - _literal_video(frames, rate)).abs().max() < 1e-5


def test_video_strips_are_bounded():
    output = preprocess_video(VideoSample(np.full((3, 1, 5000, 3), 9, np.uint8), np.arange(3) / 10))
    assert output.shape == (15, 3, 2, 224, 224)


@pytest.mark.parametrize(
    ("picture", "word"),
    [
        (np.full((100, 100, 3), 7, np.uint8), "uniform"),
        (np.random.default_rng(0).integers(0, 25, (100, 100, 3), dtype=np.uint8), "dark"),
        (
            np.where(np.arange(100)[:, None, None] < 80, 255, 90) * np.ones((100, 100, 3), np.uint8),
            "overexposed",
        ),
        (np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8), "small"),
        (np.random.default_rng(0).integers(0, 256, (100, 900, 3), dtype=np.uint8), "strip"),
    ],
)
def test_odd_pictures_are_flagged(picture, word):
    warnings = check_image(ImageSample(picture.astype(np.uint8)))
    assert len(warnings) == 1
    assert word in warnings[0]


def test_ordinary_pictures_are_not_flagged():
    with np.load(DATA) as golden:
        picture = golden["image_square"]
    assert check_image(ImageSample(picture)) == []
    assert check_image(VideoSample(picture[None], np.zeros(1))) == []
