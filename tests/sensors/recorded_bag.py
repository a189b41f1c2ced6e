"""Writes a small recording of all five senses, the plain way, for the tests of replay."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import soundfile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

DEMO = Path(__file__).parents[2] / "demo"
HAPT = Path(__file__).parents[1] / "encoders" / "concept" / "hapt.npz"
START = 1_700_000_000 * 10**9
SECONDS = 4.0
AUDIO = "std_msgs/Header header\nuint32 sample_rate\nuint16 channels\nuint64 sequence\nfloat32[] data\n"
KINDS = {
    "/camera/image_raw": "sensor_msgs/msg/Image",
    "/depth/image_raw": "sensor_msgs/msg/Image",
    "/thermal/image_raw": "sensor_msgs/msg/Image",
    "/audio": "imagebind_msgs/msg/Audio",
    "/imu/data": "sensor_msgs/msg/Imu",
    "/chatter": "std_msgs/msg/String",
}


def write(folder: Path, storage: str = "mcap", damage: int | None = None) -> Path:
    """4 s: camera 5 Hz, depth and thermal 2 Hz, sound in 50 ms blocks, IMU 100 Hz. damage: cut this camera message."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(AUDIO, KINDS["/audio"]))
    types = store.types

    def header(at: int, frame: str):
        time = types["builtin_interfaces/msg/Time"](at // 10**9, at % 10**9)
        return types["std_msgs/msg/Header"](time, frame)

    def image(at, pixels, encoding):
        raw = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        height, width = pixels.shape[:2]
        return types[KINDS["/camera/image_raw"]](
            header(at, "eye"), height, width, encoding, 0, len(raw) // height, raw
        )

    rng = np.random.default_rng(0)
    picture = cv2.resize(cv2.imread(str(DEMO / "meadow.jpg")), (160, 120))
    sound, rate = soundfile.read(DEMO / "dog.flac", dtype="float32")
    sound = np.resize(sound, round(SECONDS * rate))
    walk = np.concatenate(np.load(HAPT)["data"][:2].astype(np.float64).transpose(0, 2, 1))
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    nothing, unknown = np.zeros(9), np.array([-1.0] + [0.0] * 8)
    events = []
    for i in range(round(SECONDS * 5)):
        events.append(
            (i * 200, "/camera/image_raw", lambda at, i=i: image(at, np.roll(picture, 4 * i, 1), "bgr8"))
        )
    for i in range(round(SECONDS * 2)):
        metres = rng.uniform(0.5, 5, (48, 64)).astype(np.float32)
        counts = rng.integers(29000, 31000, (48, 64)).astype(np.uint16)
        events.append((i * 500 + 3, "/depth/image_raw", lambda at, m=metres: image(at, m, "32FC1")))
        events.append((i * 500 + 7, "/thermal/image_raw", lambda at, c=counts: image(at, c, "mono16")))
    block = rate // 20
    for i in range(round(SECONDS * 20)):
        data = sound[i * block : (i + 1) * block]
        events.append(
            (
                i * 50,
                "/audio",
                lambda at, d=data, i=i: types[KINDS["/audio"]](header(at, "ear"), rate, 1, i * block, d),
            )
        )
    for i in range(round(SECONDS * 100)):
        row = walk[i // 2 % len(walk)]
        events.append(
            (
                i * 10,
                "/imu/data",
                lambda at, r=row: types[KINDS["/imu/data"]](
                    header(at, "belt"), quaternion(0.0, 0.0, 0.0, 1.0), unknown, vector(*r[3:]), nothing,
                    vector(*r[:3]), nothing,
                ),
            )
        )  # fmt: skip
    events.append((0, "/chatter", lambda at: types["std_msgs/msg/String"]("hello")))
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer(folder, version=9, storage_plugin=plugin) as writer:
        topics = {t: writer.add_connection(t, kind, typestore=store) for t, kind in KINDS.items()}
        cameras = 0
        for milliseconds, topic, make in sorted(events, key=lambda event: event[0]):
            at = START + milliseconds * 10**6
            raw = bytes(store.serialize_cdr(make(at), KINDS[topic]))
            if topic == "/camera/image_raw":
                raw = raw[:40] if cameras == damage else raw
                cameras += 1
            writer.write(topics[topic], at, raw)
    return folder
