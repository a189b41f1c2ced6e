"""Pictures for people: what is drawn lands where it should."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.drawing import COLOURS, LabelledBox, caption, draw_boxes, grid, overlay_heat, spectrogram
from imagebind_node.samples import AudioSample

GREY = np.full((120, 160, 3), 128, np.uint8)


def test_boxes_are_drawn_on_a_copy():
    drawn = draw_boxes(GREY, [LabelledBox((40, 50, 100, 100), "dog 0.97", COLOURS[1])])
    assert (GREY == 128).all()
    assert tuple(drawn[75, 40]) == COLOURS[1]
    assert (drawn[70:80, 60:80] == 128).all()
    assert (drawn[36:46, 42:60] != 128).any()


@pytest.mark.parametrize(
    "box", [(-20, -20, 300, 300), (150, 110, 160, 120), (5, 2, 9, 6), (10, 10, 10.4, 10.4)]
)
def test_boxes_at_and_over_the_edge_are_fine(box):
    drawn = draw_boxes(GREY, [LabelledBox(box, "a very long label that is wider than the picture 0.97")])
    assert drawn.shape == GREY.shape


def test_heat_colours_the_hot_place_and_greys_the_cold_one():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[..., 1] = 200
    heat = np.zeros((10, 10), np.float32)
    heat[2, 7] = 1.0
    overlaid = overlay_heat(picture, heat)
    cold, hot = overlaid[80, 20].astype(int), overlaid[25, 75].astype(int)
    assert np.ptp(cold) < np.ptp(picture[0, 0].astype(int))
    assert hot[0] > cold[0] + 50


@pytest.mark.parametrize("heat", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.ones((1, 1))])
def test_a_flat_map_changes_nothing(heat):
    assert (overlay_heat(GREY, heat) == GREY).all()


def test_spectrogram_shows_a_tone_at_its_height():
    rate = 44100
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    picture = spectrogram(AudioSample(tone, rate), 200, 96)
    assert picture.shape == (96, 200, 3)
    brightest = picture.sum(2).mean(1).argmax()
    mel = 2595 * np.log10(1 + 1000 / 700) / (2595 * np.log10(1 + 8000 / 700))
    assert brightest == pytest.approx(96 * (1 - mel), abs=3)


def test_spectrogram_of_silence_and_of_one_sample():
    for samples in (np.zeros(16000, np.float32), np.ones(1, np.float32), np.zeros((4000, 2), np.float32)):
        assert spectrogram(AudioSample(samples, 16000), 50, 20).shape == (20, 50, 3)


def test_grid_and_caption():
    tiles = [np.full((10, 20, 3), i, np.uint8) for i in range(3)]
    sheet = grid(tiles, 2, gap=2)
    assert sheet.shape == (22, 42, 3)
    assert (sheet[12:22, 0:20] == 2).all()
    assert caption(300, 40, "heard", "detail").shape == (40, 300, 3)
