"""Microphone node: a PortAudio device on `audio`.

ros2 run imagebind_node microphone --ros-args -p device:=USB
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

from imagebind_node.nodes.driver import AUDIO_TOPIC, DriverNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.sensors.base import SensorStats
from imagebind_node.sensors.microphone import Microphone, MicrophoneConfig

SETTINGS = [
    Setting("device", "", "PortAudio device: number or part of its name; empty: the default."),
    Setting("channels", 1, "Channels to capture.", 1, 64),
    Setting("sample_rate", 16000, "Hz; 0: the device's own. Encoders convert, at a cost.", 0, 768000),
    Setting("block_ms", 20.0, "Milliseconds of sound in one message.", 1.0, 1000.0),
    Setting("frame_id", "microphone", "Coordinate frame of the microphone."),
]


class MicrophoneNode(DriverNode):
    """Publishes every block in order; survives the loss of the device."""

    def __init__(self, name: str = "microphone", **options: Any) -> None:
        super().__init__(name, SETTINGS, [AUDIO_TOPIC], **options)
        self._microphone: Microphone | None = None

    def configure(self) -> None:
        config = MicrophoneConfig(**{setting.name: self.settings[setting.name] for setting in SETTINGS})
        self._microphone = Microphone(config, self.now)
        super().configure()

    def cleanup(self) -> None:
        super().cleanup()
        self._microphone = None

    def drive(self, stop: threading.Event) -> None:
        microphone = self._microphone
        assert microphone is not None
        with microphone:
            while not stop.is_set():
                block = microphone.read(timeout=1.0)
                self.emit_audio(block.sample, block.sequence)

    def stats(self) -> SensorStats | None:
        return self._microphone.stats if self._microphone else None


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `microphone`."""
    return run(lambda: [MicrophoneNode()], args)


if __name__ == "__main__":
    sys.exit(main())
