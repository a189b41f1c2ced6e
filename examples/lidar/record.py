"""Drives a simulated robot with lidar and camera through made places and records it as a robot would: rosbag2, MCAP.

  python examples/lidar/record.py OUT --drives 48 --seconds 20

Writes OUT/drive_000 ... with /camera/image_raw (sensor_msgs/Image) and /scan (sensor_msgs/LaserScan), two of each a
second. Each drive is in a place of its own, an hour after the one before.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from simulator import RANGE_MAX, RANGE_MIN, drive, scan, view
from worlds import KINDS

CAMERA, SCAN = "/camera/image_raw", "/scan"
START, HOUR = 1_767_225_600_000_000_000, 3_600_000_000_000
PERIOD, SCAN_LATER = 500_000_000, 12_000_000


def main() -> None:
    """Simulate and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--drives", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(args.drives):
        record(args.out / f"drive_{number:03d}", number, round(2 * args.seconds), args.seed)
    print(f"{args.drives} drives in {args.out}, {', '.join(KINDS)} in turn")


def record(folder: Path, number: int, count: int, seed: int = 0) -> Path:
    """One drive of `count` pictures and scans through a place of the kind whose turn it is."""
    rng = np.random.default_rng((seed, number))
    world = list(KINDS.values())[number % len(KINDS)](rng)
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {
            CAMERA: writer.add_connection(CAMERA, "sensor_msgs/msg/Image", typestore=store),
            SCAN: writer.add_connection(SCAN, "sensor_msgs/msg/LaserScan", typestore=store),
        }
        for place, pose in enumerate(drive(world, count, rng)):
            at = START + number * HOUR + place * PERIOD
            image = image_message(store, view(world, pose), at)
            ranges = scan_message(store, scan(world, pose, rng), at + SCAN_LATER)
            for topic, message, stamp in ((CAMERA, image, at), (SCAN, ranges, at + SCAN_LATER)):
                writer.write(topics[topic], stamp, store.serialize_cdr(message, message.__msgtype__))
    return folder


def image_message(store: Any, pixels: np.ndarray, stamp: int) -> Any:
    """uint8 (H, W, 3) -> sensor_msgs/Image."""
    height, width = pixels.shape[:2]
    header = _header(store, stamp, "camera_optical_frame")
    return store.types["sensor_msgs/msg/Image"](
        header, height, width, "rgb8", 0, 3 * width, pixels.reshape(-1)
    )


def scan_message(store: Any, ranges: np.ndarray, stamp: int) -> Any:
    """float32 (360,) metres -> sensor_msgs/LaserScan, one beam a degree from -pi."""
    return store.types["sensor_msgs/msg/LaserScan"](
        _header(store, stamp, "lidar"),
        -np.pi,
        np.pi - np.pi / 180,
        np.pi / 180,
        0.0,
        0.1,
        RANGE_MIN,
        RANGE_MAX,
        ranges,
        np.zeros(0, np.float32),
    )


def _header(store: Any, stamp: int, frame_id: str) -> Any:
    time = store.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return store.types["std_msgs/msg/Header"](time, frame_id)


if __name__ == "__main__":
    main()
