"""A camera that hangs is told from one that looks at a wall."""

import numpy as np
import pytest

from imagebind_node.streaming.frozen import FrozenWatch

SECOND = 1_000_000_000


def watch(pictures, rate=10):
    watching = FrozenWatch()
    for number, picture in enumerate(pictures):
        watching.see(picture, SECOND + number * SECOND // rate)
    return watching.seconds


@pytest.mark.parametrize("shape", [(480, 640, 3), (120, 160), (1, 1), (7, 5, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_same_picture_for_three_seconds(shape, dtype):
    picture = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    assert watch([picture] * 31) == pytest.approx(3.0)


def test_the_noise_of_a_camera_that_looks_at_a_wall_is_life():
    rng = np.random.default_rng(0)
    wall = np.full((480, 640, 3), 128)
    noisy = [(wall + (rng.random(wall.shape) < 0.02)).astype(np.uint8) for _ in range(31)]
    assert watch(noisy) < 0.2


def test_life_after_a_freeze_counts_from_zero():
    one, two = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    assert watch([one] * 31 + [two]) == 0.0


def test_a_view_that_is_not_contiguous_and_nan():
    picture = np.full((480, 640), np.nan, np.float32)[::2, ::2]
    assert watch([picture] * 11) == pytest.approx(1.0)
