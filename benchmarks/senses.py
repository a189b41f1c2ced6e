"""Five drivers in one: publishes camera, depth, thermal, sound and IMU at a robot's rates, and hears the embeddings.

For benchmarks/soak.py and benchmarks/faults.py. As a program it publishes until it is killed:

    python benchmarks/senses.py --only vision,imu --namespace /robot1
"""

from __future__ import annotations

import argparse
import array
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

RATES = {"vision": 15.0, "depth": 10.0, "thermal": 10.0, "audio": 50.0, "imu": 200.0}
BLOCK, SAMPLE_RATE = 320, 16000
Alter = Callable[[Any, int], Any]
"""Takes a message that is about to be published and its number; returns it, another, a list, or None for nothing."""


def make_messages() -> dict[str, list[Any]]:
    """Messages of each sense that are published in turn."""
    import soundfile
    from imagebind_msgs.msg import Audio
    from PIL import Image
    from sensor_msgs.msg import Imu

    from imagebind_node.nodes.image_conversions import image_message
    from imagebind_node.preprocessing.audio_signal import resample

    rng = np.random.default_rng(0)
    picture = np.array(Image.open(ROOT / "demo" / "meadow.jpg").convert("RGB").resize((640, 480)))
    metres = rng.uniform(0.5, 5, (480, 640)).astype(np.float32)
    counts = rng.integers(29000, 31000, (120, 160)).astype(np.uint16)
    sound, rate = soundfile.read(ROOT / "demo" / "dog.flac", dtype="float32")
    sound = resample(sound, rate, SAMPLE_RATE)
    blocks = [
        array.array("f", block.tolist()) for block in sound[: len(sound) // BLOCK * BLOCK].reshape(-1, BLOCK)
    ]
    return {
        "vision": [image_message(np.roll(picture, 40 * i, 1), "rgb8", 0, "eye") for i in range(8)],
        "depth": [image_message(np.roll(metres, 40 * i, 1), "32FC1", 0, "eye") for i in range(4)],
        "thermal": [image_message(np.roll(counts, 40 * i, 1), "mono16", 0, "eye") for i in range(4)],
        "audio": [Audio(sample_rate=SAMPLE_RATE, channels=1, data=block) for block in blocks],
        "imu": [Imu()],
    }


class Senses:
    """A node with the publishers of five drivers and a subscription to each embedding."""

    def __init__(self, namespace: str = "", only: tuple[str, ...] = tuple(RATES)) -> None:
        import rclpy
        from imagebind_msgs.msg import Audio, Embedding
        from sensor_msgs.msg import Image, Imu

        from imagebind_node.nodes import qos
        from imagebind_node.nodes.executor import make_executor
        from imagebind_node.nodes.transport import use_large_shared_memory

        use_large_shared_memory()
        if not rclpy.ok():
            rclpy.init(args=[])
        self.node = rclpy.create_node(f"senses_{'_'.join(only)}", namespace=namespace)
        kinds = {
            "vision": (Image, "camera/image_raw", qos.SENSOR),
            "depth": (Image, "depth/image_raw", qos.SENSOR),
            "thermal": (Image, "thermal/image_raw", qos.SENSOR),
            "audio": (Audio, "audio", qos.audio()),
            "imu": (Imu, "imu/data", 200),
        }
        self.publishers = {name: self.node.create_publisher(*kinds[name]) for name in only}
        self.rates = {name: RATES[name] for name in only}
        self.alter: dict[str, Alter] = {}
        self.silent: set[str] = set()
        self.clock = time.time_ns
        self.sent = dict.fromkeys(only, 0)
        self.heard: dict[str, list[tuple[float, int]]] = {name: [] for name in (*RATES, "fused")}
        """(arrival in s of time.monotonic, stamp in ns) of each embedding."""
        self.ages: dict[str, list[tuple[float, float]]] = {name: [] for name in self.heard}
        for name in self.heard:
            listener = lambda message, name=name: self._listen(name, message)  # noqa: E731
            self.node.create_subscription(Embedding, f"embedding/{name}", listener, qos.RESULT)
        self._messages = make_messages()
        self._sequence = 0
        self._executor = make_executor()
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._spin, daemon=True)]
        self._threads[0].start()

    def wait_for_subscribers(self, seconds: float = 60.0) -> None:
        """Return once somebody listens to each topic."""
        deadline = time.monotonic() + seconds
        while any(p.get_subscription_count() == 0 for p in self.publishers.values()):
            if time.monotonic() > deadline:
                raise SystemExit("the graph did not start")
            time.sleep(0.02)

    def publish(self, sense: str) -> None:
        """The next message of one sense, stamped with the clock, as `alter` would have it."""
        number = self.sent[sense]
        self.sent[sense] += 1
        message = self._messages[sense][number % len(self._messages[sense])]
        now = self.clock()
        if sense == "audio":
            message.sequence = self._sequence
            self._sequence += BLOCK
            now -= 20_000_000
        if sense == "imu":
            phase = number / RATES["imu"] * 12.0
            message.linear_acceleration.x = 9.8 + 2.0 * np.sin(phase)
            message.angular_velocity.y = 0.5 * np.cos(phase)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        altered = self.alter[sense](message, number) if sense in self.alter else message
        for one in altered if isinstance(altered, list) else [altered]:
            if one is not None:
                self.publishers[sense].publish(one)

    def run(self, seconds: float) -> None:
        """Publish at `rates` for a time; what is in `silent` pauses."""
        begin = time.monotonic()
        due = dict.fromkeys(self.publishers, begin)
        while (now := time.monotonic()) < begin + seconds and not self._stop.is_set():
            for sense, rate in self.rates.items():
                if now >= due[sense]:
                    # Late by a second: a machine that slept does not get all of it at once.
                    due[sense] = max(due[sense] + 1 / rate, now - 1.0)
                    if sense not in self.silent:
                        self.publish(sense)
            time.sleep(max(0.0, min(due.values()) - time.monotonic()))

    def start(self) -> None:
        """Publish in a thread of its own until `close`."""
        self._threads.append(threading.Thread(target=self.run, args=(float("inf"),), daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        import rclpy

        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._executor.shutdown(timeout_sec=5)
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _listen(self, sense: str, message: Any) -> None:
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        arrived = time.monotonic()
        self.ages[sense].append((arrived, (self.clock() - stamp) / 1e9))
        self.heard[sense].append((arrived, stamp))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(RATES), help="of " + ", ".join(RATES))
    parser.add_argument("--namespace", default="")
    args = parser.parse_args()
    senses = Senses(args.namespace, tuple(args.only.split(",")))
    print(f"{time.monotonic():.6f}", flush=True)
    senses.run(float("inf"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
