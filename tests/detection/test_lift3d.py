"""Depth lifting against rendered scenes whose geometry is known."""

from __future__ import annotations

import numpy as np
import pytest

from imagebind_node.detection.lift3d import Intrinsics, foreground, lift
from imagebind_node.errors import InvalidInputError

CAMERA = Intrinsics(fx=600.0, fy=590.0, cx=322.0, cy=238.0, width=640, height=480)


def scene(background: float = 4.0) -> np.ndarray:
    return np.full((480, 640), background, np.float32)


def project(x: float, y: float, z: float) -> tuple[float, float]:
    return CAMERA.fx * x / z + CAMERA.cx, CAMERA.fy * y / z + CAMERA.cy


def plate(depth: np.ndarray, centre: tuple[float, float, float], width: float, height: float) -> np.ndarray:
    """Paint a plate that faces the camera; returns its box."""
    x, y, z = centre
    x0, y0 = project(x - width / 2, y - height / 2, z)
    x1, y1 = project(x + width / 2, y + height / 2, z)
    depth[round(y0) : round(y1), round(x0) : round(x1)] = z
    return np.array([x0, y0, x1, y1], np.float32)


def test_a_plate_is_found_where_it_stands():
    depth = scene()
    box = plate(depth, (0.4, -0.2, 1.5), 0.6, 0.4)
    lifted = lift(box[None], depth, CAMERA)
    assert lifted.index.tolist() == [0]
    np.testing.assert_allclose(lifted.positions[0], (0.4, -0.2, 1.5), atol=0.005)
    np.testing.assert_allclose(lifted.sizes[0], (0.6, 0.4, 0.0), atol=0.005)


def test_right_is_positive_x_and_down_is_positive_y():
    depth = scene(2.0)
    lifted = lift(np.array([[500, 400, 600, 470], [10, 10, 90, 90]], np.float32), depth, CAMERA)
    assert (lifted.positions[0] > 0).all()
    assert lifted.positions[1, 0] < 0
    assert lifted.positions[1, 1] < 0


@pytest.mark.parametrize("loose", [1.0, 1.3, 1.6])
def test_background_in_a_loose_box_is_ignored(loose):
    """At 1.6 x the plate's sides, background fills 61 % of the box."""
    depth = scene()
    box = plate(depth, (0.0, 0.0, 2.0), 0.8, 0.6)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    lifted = lift(np.concatenate([centre - loose * half, centre + loose * half])[None], depth, CAMERA)
    assert lifted.positions[0, 2] == pytest.approx(2.0, abs=0.01)


def test_a_thin_occluder_in_front_is_ignored():
    depth = scene()
    box = plate(depth, (0.0, 0.0, 2.0), 0.8, 0.6)
    depth[:, 300:320] = 0.7
    assert lift(box[None], depth, CAMERA).positions[0, 2] == pytest.approx(2.0, abs=0.01)


def test_a_thing_on_the_floor_before_a_wall():
    """The floor joins thing and wall without a gap in depth; camera 1 m above it, wall at 5 m, thing at 2 m."""
    v = np.arange(480, dtype=np.float32)[:, None] + 0.5 - CAMERA.cy
    floor = np.where(v > 0, CAMERA.fy * 1.0 / np.maximum(v, 1e-3), np.inf)
    depth = np.broadcast_to(np.minimum(floor, 5.0), (480, 640)).astype(np.float32).copy()
    box = plate(depth, (0.0, 0.5, 2.0), 0.5, 1.0)
    loose = box + np.array([-60, -20, 60, 10], np.float32)
    assert lift(loose[None], depth, CAMERA).positions[0, 2] == pytest.approx(2.0, abs=0.05)


def test_holes_and_flying_pixels_do_not_move_it():
    rng = np.random.default_rng(0)
    depth = scene()
    box = plate(depth, (0.0, 0.0, 2.0), 0.8, 0.6)
    hole = rng.random(depth.shape)
    depth[hole < 0.4] = np.nan
    depth[(hole > 0.4) & (hole < 0.5)] = 0.0
    depth[(hole > 0.5) & (hole < 0.55)] = np.inf
    flying = (hole > 0.55) & (hole < 0.58)
    depth[flying] = rng.uniform(2.0, 4.0, flying.sum())
    lifted = lift(box[None], depth, CAMERA)
    assert lifted.positions[0, 2] == pytest.approx(2.0, abs=0.02)
    assert np.isfinite(lifted.covariances).all()


@pytest.mark.parametrize("fill", [np.nan, 0.0, np.inf, -1.0])
def test_no_depth_no_lift(fill):
    depth = np.full((480, 640), fill, np.float32)
    boxes = np.array([[10, 10, 100, 100]], np.float32)
    assert len(lift(boxes, depth, CAMERA)) == 0
    depth[20:22, 20:26] = 1.0
    assert len(lift(boxes, depth, CAMERA)) == 0


def test_boxes_without_depth_are_left_out_and_indexed():
    depth = scene()
    depth[:, :200] = np.nan
    boxes = np.array([[10, 10, 100, 100], [300, 100, 400, 200]], np.float32)
    lifted = lift(boxes, depth, CAMERA)
    assert lifted.index.tolist() == [1]


def test_boxes_beyond_the_rim_and_no_boxes():
    depth = scene()
    boxes = np.array([[-50, -50, 60, 60], [630, 470, 700, 600], [700, 500, 800, 600]], np.float32)
    assert lift(boxes, depth, CAMERA).index.tolist() == [0, 1]
    assert len(lift(np.zeros((0, 4), np.float32), depth, CAMERA)) == 0


def test_a_sloped_surface_is_one_surface():
    depth = np.broadcast_to(np.linspace(1.0, 2.0, 480, dtype=np.float32)[:, None], (480, 640))
    lifted = lift(np.array([[100, 0, 500, 480]], np.float32), depth, CAMERA)
    assert lifted.positions[0, 2] == pytest.approx(1.5, abs=0.05)
    assert lifted.sizes[0, 2] == pytest.approx(0.9, abs=0.05)


def test_depth_of_lower_resolution_is_scaled():
    depth = scene()
    box = plate(depth, (0.4, -0.2, 1.5), 0.6, 0.4)
    lifted = lift(box[None], depth[::2, ::2], CAMERA)
    np.testing.assert_allclose(lifted.positions[0], (0.4, -0.2, 1.5), atol=0.005)


def test_covariance_matches_simulated_errors():
    """10 000 boxes and depths with the stated errors: the sample covariance is the propagated one."""
    rng = np.random.default_rng(1)
    depth = scene(3.0)
    box = np.array([200.0, 150.0, 320.0, 250.0])
    predicted = lift(box[None], depth, CAMERA, box_error=0.05, depth_error=0.01).covariances[0]
    centre = np.array([260.0, 200.0]) + rng.standard_normal((10_000, 2)) * 0.05 * (120.0, 100.0)
    z = 3.0 + rng.standard_normal(10_000) * 0.01 * 9.0
    focal, principal = (CAMERA.fx, CAMERA.fy), (CAMERA.cx, CAMERA.cy)
    points = np.concatenate([(centre - principal) / focal * z[:, None], z[:, None]], 1)
    sampled = np.cov(points.T)
    np.testing.assert_allclose(np.diag(predicted), np.diag(sampled), rtol=0.06)
    assert np.linalg.eigvalsh(predicted).min() > 0
    np.testing.assert_allclose(predicted, predicted.T)


def test_uncertainty_grows_with_distance_along_the_ray():
    near, far = (lift(np.array([[300, 200, 340, 280]], np.float32), scene(z), CAMERA) for z in (1.0, 4.0))
    assert far.covariances[0, 2, 2] > 100 * near.covariances[0, 2, 2]


def test_foreground_takes_the_nearest_dominant_surface():
    depth = np.concatenate([np.full(10, 0.5), np.full(40, 1.0), np.full(50, 3.0)])
    assert foreground(depth, np.ones(100)).tolist() == [False] * 10 + [True] * 40 + [False] * 50


@pytest.mark.parametrize("shape", [(240, 640), (640, 480), (10, 10)])
def test_depth_that_is_not_aligned_is_refused(shape):
    with pytest.raises(InvalidInputError, match="align depth"):
        lift(np.zeros((1, 4), np.float32), np.ones(shape, np.float32), CAMERA)


@pytest.mark.parametrize("change", [{"fx": 0.0}, {"fy": float("nan")}, {"width": 0}])
def test_uncalibrated_cameras_are_refused(change):
    values = {"fx": 600.0, "fy": 600.0, "cx": 320.0, "cy": 240.0, "width": 640, "height": 480}
    with pytest.raises(InvalidInputError, match="camera_info"):
        Intrinsics(**(values | change))
