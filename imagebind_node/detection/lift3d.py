"""From a box in the picture and an aligned depth picture to a place in front of the camera.

Everything is in the optical frame of the camera (REP-103: x right, y down, z forward), metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagebind_node.errors import InvalidInputError

LOG_BIN = 0.03  # width of a depth histogram bin: 3 % of the depth
SPARSE = 0.015  # a bin with less than this share of the weighted pixels separates surfaces
DOMINANT = 0.3  # a surface counts as the thing if it holds this share of the box's weighted depth pixels


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera of a rectified picture: focal lengths and principal point in pixels (CameraInfo `p`)."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not np.isfinite(values).all() or self.fx <= 0 or self.fy <= 0:
            raise InvalidInputError(
                f"camera_info has no usable intrinsics (fx, fy, cx, cy = {values}): calibrate the camera"
            )
        if self.width <= 0 or self.height <= 0:
            raise InvalidInputError(f"camera_info says the picture is {self.width}x{self.height} pixels")


@dataclass(frozen=True)
class Lifted:
    """Boxes that got a place, in the order of the given boxes.

    index: int (M,), which of the given boxes each belongs to (boxes with too little depth are left out).
    positions: float64 (M, 3) metres, on the visible surface. sizes: float64 (M, 3) metres: width and height
    of the box at that distance, and extent in depth of the visible surface. covariances: float64 (M, 3, 3)
    m^2 of the position.
    """

    index: np.ndarray
    positions: np.ndarray
    sizes: np.ndarray
    covariances: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


def foreground(depth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which of `depth` (N,) metres, all valid, belong to the nearest surface that is dominant: bool (N,).

    A box holds the thing, what is behind it and now and then a branch in front of it. The histogram of
    log depth falls into runs of occupied bins; the nearest run with at least DOMINANT of the weight is the
    thing, or the heaviest run if none is that large. `weights` (N,) says how much each pixel counts.
    """
    bins = np.floor(np.log(depth) / LOG_BIN).astype(int)
    bins -= bins.min()
    mass = np.bincount(bins, weights=weights)
    # Bins that hold little are flying pixels or the floor between two surfaces: they must not join them.
    occupied = mass > SPARSE * mass.sum()
    run = np.cumsum(occupied & ~np.concatenate([[False], occupied[:-1]])) * occupied  # 0 = between runs
    if not run.any():
        return np.ones(len(depth), bool)
    share = np.bincount(run, weights=mass, minlength=run.max() + 1)[1:] / mass.sum()
    dominant = np.flatnonzero(share >= DOMINANT)
    chosen = 1 + (dominant[0] if len(dominant) else int(share.argmax()))
    return run[bins] == chosen


def lift(
    boxes: np.ndarray,
    depth: np.ndarray,
    intrinsics: Intrinsics,
    *,
    min_pixels: int = 20,
    min_fraction: float = 0.05,
    box_error: float = 0.05,
    depth_error: float = 0.005,
) -> Lifted:
    """Place boxes (N, 4), pixels of the colour picture, by a depth picture aligned to it.

    depth: float32 (H, W) metres along the optical axis; NaN, infinite and not positive values are no
    measurement (REP-118). It must show what `intrinsics` describe; a smaller picture of the same view is
    scaled to it. A box needs `min_pixels` measurements that fill at least `min_fraction` of it.

    The covariance is that of the box's centre (standard deviation `box_error` of its width and height) and of
    the depth (spread of the surface by the median absolute deviation, and `depth_error` x depth^2, the error
    of stereo cameras in metres at 1 m), carried through the pinhole model to first order.

    Raises InvalidInputError if the depth picture does not have the camera's aspect ratio.
    """
    if depth.ndim != 2 or depth.size == 0:
        raise InvalidInputError(f"depth must be (H, W), got {depth.shape}")
    height, width = depth.shape
    scale = width / intrinsics.width
    if abs(intrinsics.height * scale - height) > 1.0:
        raise InvalidInputError(
            f"the depth picture ({width}x{height}) does not show what camera_info describes "
            f"({intrinsics.width}x{intrinsics.height}): align depth to the colour camera first"
        )
    found = [
        (i, *placed)
        for i, box in enumerate(np.asarray(boxes, np.float64).reshape(-1, 4))
        if (placed := _place(box, depth, scale, intrinsics, min_pixels, min_fraction, box_error, depth_error))
    ]
    return Lifted(
        index=np.array([f[0] for f in found], int),
        positions=np.array([f[1] for f in found], np.float64).reshape(-1, 3),
        sizes=np.array([f[2] for f in found], np.float64).reshape(-1, 3),
        covariances=np.array([f[3] for f in found], np.float64).reshape(-1, 3, 3),
    )


def _place(
    box: np.ndarray,
    depth: np.ndarray,
    scale: float,
    camera: Intrinsics,
    min_pixels: int,
    min_fraction: float,
    box_error: float,
    depth_error: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    x0, y0 = np.clip(np.floor(box[:2] * scale), 0, None).astype(int)
    x1, y1 = np.ceil(box[2:] * scale).astype(int)
    part = depth[y0:y1, x0:x1]
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(part) & (part > 0)
    count = int(valid.sum())
    if count < min_pixels or count < min_fraction * part.size:
        return None
    rows, columns = np.nonzero(valid)
    z = part[rows, columns].astype(np.float64)
    # The thing is more likely in the middle of its box than at the rim.
    off = np.hypot(2 * (columns + 0.5) / part.shape[1] - 1, 2 * (rows + 0.5) / part.shape[0] - 1)
    weights = np.exp(-(off**2))
    front = foreground(z, weights)
    z, weights = z[front], weights[front]
    near = float(np.median(z))
    spread = 1.4826 * float(np.median(np.abs(z - near)))
    pixel = (box[:2] + box[2:]) / 2
    side = box[2:] - box[:2]
    focal = np.array([camera.fx, camera.fy])
    ray = np.append((pixel - (camera.cx, camera.cy)) / focal, 1.0)
    jacobian = np.zeros((3, 3))
    jacobian[[0, 1], [0, 1]] = near / focal
    jacobian[:, 2] = ray
    variance = np.append((box_error * side) ** 2, spread**2 + (depth_error * near**2) ** 2)
    low, high = np.percentile(z, [5, 95])
    size = np.append(side * near / focal, high - low)
    return ray * near, size, jacobian @ np.diag(variance) @ jacobian.T
