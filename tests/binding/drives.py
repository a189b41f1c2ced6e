"""Writes recordings in which every picture and every measurement tells when it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

START = 1_700_000_000 * 10**9
HOUR = 3600 * 10**9
AUDIO = "std_msgs/Header header\nuint32 sample_rate\nuint16 channels\nuint64 sequence\nfloat32[] data\n"
RATE = 8000
CAMERA, SCAN, SOUND, MOTION = "/camera/image_raw", "/scan", "/audio", "/imu/data"


def write(
    folder: Path,
    *,
    start: int = START,
    count: int = 20,
    late_ms: float = 4.0,
    sound_gap: bool = False,
    cut: int = -1,
) -> Path:
    """`count` pictures, 10 a second, of grey value 5 i; scans `late_ms` later, all of range i; sound and motion that
    grow by 1 a second. cut: this scan is damaged. sound_gap: half a second of sound is missing from 1.0 s on."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(AUDIO, "imagebind_msgs/msg/Audio"))
    types = store.types
    vector, nothing = types["geometry_msgs/msg/Vector3"], np.zeros(9)

    def header(at):
        time = types["builtin_interfaces/msg/Time"](at // 10**9, at % 10**9)
        return types["std_msgs/msg/Header"](time, "robot")

    events = []
    for i in range(count):
        at = start + i * 100_000_000
        pixels = np.full(24 * 32 * 3, 5 * i % 256, np.uint8)
        image = types["sensor_msgs/msg/Image"](header(at), 24, 32, "rgb8", 0, 96, pixels)
        events.append((at, CAMERA, image))
        late = at + round(late_ms * 1e6)
        ranges = np.full(36, i, np.float32)
        scan = types["sensor_msgs/msg/LaserScan"](
            header(late), -3.0, 3.0, 0.1, 0.0, 0.1, 0.05, 30.0, ranges, np.zeros(0, np.float32)
        )
        events.append((late, SCAN, scan))
    for block in range(count * 2):
        at, sequence = start + block * 50_000_000, block * RATE // 20
        if sound_gap and 20 <= block < 30:
            continue
        data = ((sequence + np.arange(RATE // 20)) / RATE).astype(np.float32)
        events.append((at, SOUND, types["imagebind_msgs/msg/Audio"](header(at), RATE, 1, sequence, data)))
    for i in range(count * 10):
        at = start + i * 10_000_000
        orientation = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
        turn, push = vector(0.0, 0.0, 0.0), vector(i / 100, 0.0, 9.81)
        imu = types["sensor_msgs/msg/Imu"](header(at), orientation, nothing, turn, nothing, push, nothing)
        events.append((at, MOTION, imu))
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = {topic: event.__msgtype__ for _, topic, event in events}
        topics = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in kinds.items()}
        scans = 0
        for at, topic, event in sorted(events, key=lambda e: (e[0], e[1])):
            raw = bytes(store.serialize_cdr(event, event.__msgtype__))
            if topic == SCAN:
                raw = raw[:50] if scans == cut else raw
                scans += 1
            writer.write(topics[topic], at, raw)
    return folder
