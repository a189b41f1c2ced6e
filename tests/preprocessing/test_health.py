"""Every kind of sample finds its own check."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.preprocessing.health import check_sample
from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    TextSample,
    ThermalSample,
    VideoSample,
)


@pytest.mark.parametrize(
    ("sample", "word"),
    [
        (ImageSample(np.zeros((99, 99, 3), np.uint8)), "uniform"),
        (VideoSample(np.zeros((1, 99, 99, 3), np.uint8), np.zeros(1)), "uniform"),
        (AudioSample(np.zeros(40000, np.float32), 16000), "silence"),
        (DepthSample(np.zeros((9, 9), np.float32)), "no measurement"),
        (ThermalSample(np.zeros((9, 9), np.uint8)), "flat"),
        (ImuSample(np.zeros((1100, 6), np.float32), np.arange(1100) / 200), "acceleration is all zero"),
        (TextSample("12"), "no letters"),
    ],
)
def test_check_sample(sample, word):
    assert word in check_sample(sample)[0]
