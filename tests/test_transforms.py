"""The tree of frames, against scipy's rotations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from imagebind_node.errors import InvalidInputError
from imagebind_node.transforms import Transform, TransformBuffer, TransformError

SECOND = 10**9
QUARTER = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # 90 degrees to the left


def random_transform(rng: np.random.Generator) -> Transform:
    return Transform(
        tuple(rng.normal(size=3).tolist()), tuple(Rotation.random(random_state=rng).as_quat().tolist())
    )


def matrix(transform: Transform) -> np.ndarray:
    full = np.eye(4)
    full[:3, :3] = Rotation.from_quat(transform.rotation).as_matrix()
    full[:3, 3] = transform.translation
    return full


def test_composition_and_inverse_are_those_of_matrices() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = random_transform(rng), random_transform(rng)
        np.testing.assert_allclose(matrix(a @ b), matrix(a) @ matrix(b), atol=1e-9)
        np.testing.assert_allclose(matrix(a.inverse()), np.linalg.inv(matrix(a)), atol=1e-9)


def test_between_two_poses_the_place_is_linear_and_the_rotation_spherical() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        a, b = random_transform(rng), random_transform(rng)
        share = float(rng.random())
        found = a.toward(b, share)
        expected = Slerp([0, 1], Rotation.from_quat([a.rotation, b.rotation]))(share)
        assert (Rotation.from_quat(found.rotation).inv() * expected).magnitude() < 1e-7
        middle = (1 - share) * np.array(a.translation) + share * np.array(b.translation)
        np.testing.assert_allclose(found.translation, middle, atol=1e-12)
    same = Transform((0, 0, 0), QUARTER).toward(Transform((0, 0, 0), tuple(-q for q in QUARTER)), 0.5)
    np.testing.assert_allclose(matrix(same), matrix(Transform((0, 0, 0), QUARTER)), atol=1e-9)


def test_a_camera_on_a_moving_robot() -> None:
    """Map to odometry, odometry to robot (driving east, facing north), robot to camera (fixed, 0.2 m ahead)."""
    buffer = TransformBuffer()
    buffer.put("/base_link", "camera", 0, Transform((0.2, 0.0, 0.5)), fixed=True)
    buffer.put("map", "odom", 2 * SECOND, Transform((10.0, 0.0, 0.0)))
    buffer.put("map", "odom", 4 * SECOND, Transform((12.0, 0.0, 0.0)))
    for second in (4, 2):  # out of order, as over a network
        buffer.put("odom", "base_link", second * SECOND, Transform((float(second), 0.0, 0.0), QUARTER))
    found = buffer.lookup("map", "camera", 3 * SECOND)
    np.testing.assert_allclose(found.translation, (11.0 + 3.0, 0.2, 0.5), atol=1e-9)
    back = buffer.lookup("camera", "map", 3 * SECOND)
    np.testing.assert_allclose(matrix(back), np.linalg.inv(matrix(found)), atol=1e-9)
    assert buffer.lookup("camera", "camera", 0) == Transform()
    beside = buffer.lookup("odom", "map", 3 * SECOND)
    np.testing.assert_allclose(beside.translation, (-11.0, 0.0, 0.0), atol=1e-9)


def test_the_nearest_end_of_the_history_will_do_within_the_tolerance() -> None:
    buffer = TransformBuffer()
    buffer.put("map", "base", 10 * SECOND, Transform((1.0, 0.0, 0.0)))
    buffer.put("map", "base", 11 * SECOND, Transform((2.0, 0.0, 0.0)))
    assert buffer.lookup("map", "base", int(11.4 * SECOND), 0.5).translation == (2.0, 0.0, 0.0)
    assert buffer.lookup("map", "base", int(9.6 * SECOND), 0.5).translation == (1.0, 0.0, 0.0)
    with pytest.raises(TransformError, match=r"end 0\.600 s before"):
        buffer.lookup("map", "base", int(11.6 * SECOND), 0.5)
    with pytest.raises(TransformError, match="after the time"):
        buffer.lookup("map", "base", int(9.9 * SECOND))


def test_what_is_not_known_says_so() -> None:
    buffer = TransformBuffer(seconds=1.0)
    buffer.put("map", "base", 10 * SECOND, Transform())
    with pytest.raises(TransformError, match="no transform links 'camera' to 'map'"):
        buffer.lookup("map", "camera", 10 * SECOND)
    buffer.put("base", "arm", 20 * SECOND, Transform())
    with pytest.raises(TransformError, match="no time in common"):
        buffer.lookup("map", "arm", 20 * SECOND, 100.0)
    buffer.put("camera", "left", 0, Transform())
    buffer.put("left", "camera", 0, Transform())
    with pytest.raises(TransformError, match="loop"):
        buffer.lookup("map", "camera", 0)


def test_history_is_short_and_starts_anew_when_time_runs_back_or_the_parent_changes() -> None:
    buffer = TransformBuffer(seconds=10.0)
    for second in range(100):
        buffer.put("map", "base", second * SECOND, Transform((float(second), 0.0, 0.0)))
    assert buffer.lookup("map", "base", 89 * SECOND).translation[0] == 89.0
    with pytest.raises(TransformError):
        buffer.lookup("map", "base", 88 * SECOND)
    buffer.put("map", "base", 5 * SECOND, Transform((5.0, 0.0, 0.0)))  # a recording played again
    assert buffer.lookup("map", "base", 5 * SECOND).translation[0] == 5.0
    with pytest.raises(TransformError):
        buffer.lookup("map", "base", 95 * SECOND)
    buffer.put("lift", "base", 6 * SECOND, Transform())
    with pytest.raises(TransformError, match="no transform links"):
        buffer.lookup("map", "base", 6 * SECOND)


@pytest.mark.parametrize(
    ("translation", "rotation"),
    [
        ((0.0, 0.0, math.nan), (0.0, 0.0, 0.0, 1.0)),
        ((math.inf, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0)),
    ],
)
def test_impossible_transforms_are_refused(translation: tuple, rotation: tuple) -> None:
    with pytest.raises(InvalidInputError, match="unit quaternion"):
        Transform(translation, rotation)


@pytest.mark.parametrize(("parent", "child"), [("map", "map"), ("", "base"), ("map", "/")])
def test_a_transform_needs_two_frames(parent: str, child: str) -> None:
    with pytest.raises(InvalidInputError, match="two different frames"):
        TransformBuffer().put(parent, child, 0, Transform())
