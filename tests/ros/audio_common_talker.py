"""Publishes a sound over and over with a message of audio_common, as its drivers do; started by the tests.

python audio_common_talker.py AudioStamped|AudioDataStamped|AudioData SOUND.wav NAMESPACE [CODING]
"""

import sys
import time

import audio_common_msgs.msg as messages
import numpy as np
import rclpy
import soundfile
from rclpy.qos import qos_profile_sensor_data

kind, path, namespace = sys.argv[1:4]
coding = sys.argv[4] if len(sys.argv) > 4 else "wave"
sound, rate = soundfile.read(path, dtype="int16", always_2d=True)
BLOCK = 512

rclpy.init()
node = rclpy.create_node("talker", namespace=namespace)
# The driver of mgonzs13 publishes best effort, that of ros-drivers reliably.
profile = qos_profile_sensor_data if kind == "AudioStamped" else 10
publisher = node.create_publisher(getattr(messages, kind), "audio", profile)
info = None
if kind != "AudioStamped" and coding != "none":
    info = node.create_publisher(messages.AudioInfo, "audio_info", 1)
due, blocks = time.monotonic(), 0
while True:
    place = blocks * BLOCK % (len(sound) - BLOCK)
    block = np.ascontiguousarray(sound[place : place + BLOCK])
    if info is not None and blocks % 16 == 0:
        fields = {"channels": block.shape[1], "sample_rate": rate, "sample_format": "S16LE"}
        info.publish(messages.AudioInfo(coding_format=coding, **fields))
    message = getattr(messages, kind)()
    if kind != "AudioData":
        message.header.stamp = node.get_clock().now().to_msg()
        message.header.frame_id = "ear"
    if kind == "AudioStamped":
        message.audio.audio_data.int16_data.frombytes(block.tobytes())
        message.audio.info.format, message.audio.info.channels = 8, block.shape[1]
        message.audio.info.rate, message.audio.info.chunk = rate, BLOCK
    else:
        data = message.data if kind == "AudioData" else message.audio.data
        data.frombytes(block.tobytes())
    publisher.publish(message)
    blocks, due = blocks + 1, due + BLOCK / rate
    time.sleep(max(0.0, due - time.monotonic()))
