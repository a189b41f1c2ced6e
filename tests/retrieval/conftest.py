"""A folder as people have them: a picture, sounds, a video, a bag, and what cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from imagebind_node.encoders.base import Encoder, load_encoder

DEMO = Path(__file__).parents[2] / "demo"
START = 1_700_000_000


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    torch.set_num_threads(2)
    return load_encoder("concept", modalities=["vision", "audio", "text"])


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "sounds").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    shutil.copy(DEMO / "meadow.jpg", folder / "meadow.jpg")
    shutil.copy(DEMO / "meadow.jpg", folder / ".hidden" / "meadow.jpg")
    for name in ("dog", "cow"):
        shutil.copy(DEMO / f"{name}.flac", folder / "sounds" / f"{name}.flac")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (folder / "notes.pdf").write_bytes(b"%PDF-1.4")
    write_video(folder / "ride.mp4")
    write_bag(folder / "monday")
    return folder


def write_video(path: Path) -> None:
    """2.5 s at 10 frames a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 240))
    picture = cv2.resize(cv2.imread(str(DEMO / "meadow.jpg")), (320, 240))
    for shift in range(25):
        writer.write(np.roll(picture, shift * 3, axis=1))
    writer.release()


def write_bag(path: Path) -> None:
    """2 s: camera at 5 Hz, sound in 0.1 s blocks with one lost block, IMU at 100 Hz, and text nobody can index.

    The robot drives east at 1 m/s from x = 3 m; its camera looks on from 0.5 m above, its microphone has no place.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from imagebind_node.sensors.bag import AUDIO_DEFINITION

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(AUDIO_DEFINITION, "imagebind_msgs/msg/Audio"))
    types = store.types
    time_type, header_type = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]

    def header(nanoseconds: int, frame: str) -> object:
        return header_type(time_type(START + nanoseconds // 10**9, nanoseconds % 10**9), frame)

    import soundfile

    sound, rate = soundfile.read(DEMO / "dog.flac", dtype="float32")
    sound = np.resize(sound if sound.ndim == 1 else sound[:, 0], 2 * rate)
    picture = cv2.resize(cv2.imread(str(DEMO / "meadow.jpg")), (160, 120))
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        names = {
            "camera/image_raw": "sensor_msgs/msg/Image",
            "audio": "imagebind_msgs/msg/Audio",
            "imu/data": "sensor_msgs/msg/Imu",
            "chatter": "std_msgs/msg/String",
            "tf": "tf2_msgs/msg/TFMessage",
            "tf_static": "tf2_msgs/msg/TFMessage",
        }
        topics = {
            name: writer.add_connection(f"/{name}", kind, typestore=store) for name, kind in names.items()
        }

        def write(topic: str, nanoseconds: int, message: object) -> None:
            raw = store.serialize_cdr(message, names[topic])
            writer.write(topics[topic], START * 10**9 + nanoseconds, raw)

        for i in range(10):
            at = i * 200_000_000
            pixels = np.ascontiguousarray(picture).reshape(-1)
            image = types["sensor_msgs/msg/Image"](header(at, "camera"), 120, 160, "bgr8", 0, 480, pixels)
            write("camera/image_raw", at, image)
        block = rate // 10
        for i in range(20):
            if i == 12:
                continue
            at = i * 100_000_000
            data = sound[i * block : (i + 1) * block]
            message = types["imagebind_msgs/msg/Audio"](header(at, "microphone"), rate, 1, i * block, data)
            write("audio", at, message)
        vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
        nothing = np.zeros(9)
        for i in range(200):
            at = i * 10_000_000
            imu = types["sensor_msgs/msg/Imu"](
                header(at, "imu"),
                quaternion(0.0, 0.0, 0.0, 1.0),
                nothing,
                vector(0.0, 0.1, 0.0),
                nothing,
                vector(0.0, 0.0, 9.81),
                nothing,
            )
            write("imu/data", at, imu)
        write("chatter", 0, types["std_msgs/msg/String"]("hello"))

        def transform(at: int, parent: str, child: str, x: float, z: float, w: float = 1.0) -> object:
            pose = types["geometry_msgs/msg/Transform"](vector(x, 0.0, z), quaternion(0.0, 0.0, 0.0, w))
            return types["geometry_msgs/msg/TransformStamped"](header(at, parent), child, pose)

        tree = types["tf2_msgs/msg/TFMessage"]
        for i in range(21):
            at = i * 100_000_000
            write("tf", at, tree([transform(at, "map", "base_link", 3.0 + i * 0.1, 0.0)]))
        # One that no robot can have, which must not take the others with it.
        broken = transform(0, "map", "camera", 0.0, 0.0, w=0.0)
        write("tf_static", 2 * 10**9, tree([broken, transform(0, "base_link", "camera", 0.0, 0.5)]))
