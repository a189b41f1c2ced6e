"""What receiving costs by executor, and what arrives with and without our DDS profile.

    .venv/bin/python benchmarks/executors.py --seconds 8

A process publishes 50 blocks of sound and 16.7 colour frames of 640x480 a second; another receives them. Prints
messages received a second and processor time in percent of one core.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from imagebind_node.nodes.transport import PROFILE

EXECUTORS = ("EventsExecutor", "SingleThreadedExecutor", "MultiThreadedExecutor")
BLOCKS_PER_SECOND, BLOCKS_PER_FRAME = 50, 3


def publish(seconds: float) -> None:
    """Publish for `seconds` after a subscriber has come."""
    import rclpy
    from imagebind_msgs.msg import Audio
    from sensor_msgs.msg import Image

    from imagebind_node.nodes import qos

    rclpy.init(args=[])
    node = rclpy.create_node("publisher")
    images = node.create_publisher(Image, "image", qos.SENSOR)
    sounds = node.create_publisher(Audio, "audio", qos.audio())
    frame = Image(height=480, width=640, step=1920, encoding="rgb8", data=array.array("B", bytes(921_600)))
    block = Audio(sample_rate=16000, channels=1, data=array.array("f", bytes(1280)))
    while not (images.get_subscription_count() and sounds.get_subscription_count()):
        time.sleep(0.05)
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        sounds.publish(block)
        if count % BLOCKS_PER_FRAME == 0:
            images.publish(frame)
        count += 1
        time.sleep(max(0.0, begun + count / BLOCKS_PER_SECOND - time.monotonic()))
    node.destroy_node()
    rclpy.shutdown()


def receive(name: str, seconds: float) -> None:
    """Receive with the executor called `name` and print figures as JSON."""
    import rclpy
    from imagebind_msgs.msg import Audio
    from sensor_msgs.msg import Image

    from imagebind_node.nodes import qos

    rclpy.init(args=[])
    node = rclpy.create_node("receiver")
    counts = {"frames": 0, "blocks": 0}

    def counter(what: str) -> Any:
        return lambda message: counts.__setitem__(what, counts[what] + 1)

    node.create_subscription(Image, "image", counter("frames"), qos.SENSOR)
    node.create_subscription(Audio, "audio", counter("blocks"), qos.audio())
    module = rclpy.experimental if name == "EventsExecutor" else rclpy.executors
    executor = getattr(module, name)()
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.5)

    thread = threading.Thread(target=spin)
    thread.start()
    while not counts["blocks"]:
        time.sleep(0.05)
    begun, used, before = time.monotonic(), time.process_time(), dict(counts)
    time.sleep(seconds)
    elapsed, used = time.monotonic() - begun, time.process_time() - used
    figures = {what: (counts[what] - before[what]) / elapsed for what in counts}
    print(json.dumps({**figures, "cpu_percent": 100 * used / elapsed}), flush=True)
    stop.set()
    thread.join()
    executor.shutdown(timeout_sec=1)
    node.destroy_node()
    rclpy.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "publish":
        publish(args.seconds + 5)
        return 0
    if args.role:
        import rclpy.executors
        import rclpy.experimental  # noqa: F401 - looked up by name

        receive(args.role, args.seconds)
        return 0
    os.environ.update(ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", ROS_DOMAIN_ID=str(1 + os.getpid() % 100))
    print(
        f"load average {os.getloadavg()[0]:.1f}\n{'executor':24}{'profile':9}{'frames/s':>9}{'blocks/s':>9}{'CPU %':>7}"
    )
    for profile in ("ours", "default"):
        environment = dict(os.environ)
        if profile == "ours":
            environment["FASTDDS_DEFAULT_PROFILES_FILE"] = str(PROFILE)
        for name in EXECUTORS:
            command = [sys.executable, __file__, "--seconds", str(args.seconds), "--role"]
            publisher = subprocess.Popen([*command, "publish"], env=environment)
            output = subprocess.run(
                [*command, name], env=environment, capture_output=True, text=True, check=True
            )
            publisher.wait()
            figures = json.loads(output.stdout)
            print(
                f"{name:24}{profile:9}{figures['frames']:9.1f}{figures['blocks']:9.1f}{figures['cpu_percent']:7.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
