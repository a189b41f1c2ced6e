"""Microphone node: a PortAudio device on `audio`.

ros2 run imagebind_node microphone --ros-args -p device:=USB
ros2 run imagebind_node microphone --ros-args -p device:=ReSpeaker -p channels:=6 -p select:=1,2,3,4 -p downmix:=true
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from imagebind_node.nodes.driver import AUDIO_TOPIC, SensorNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.sensors.microphone import AudioBlock, Microphone, MicrophoneConfig, parse_channels

SETTINGS = [
    Setting("device", "", "PortAudio device: number or part of its name; empty: the default."),
    Setting("channels", 1, "Channels to capture.", 1, 64),
    Setting("select", "", 'Which of these to publish, from 0, such as "0,2"; empty: all.'),
    Setting("downmix", False, "Publish the mean of the selected channels as one."),
    Setting("sample_rate", 16000, "Hz; 0: the device's own. Encoders convert, at a cost.", 0, 768000),
    Setting("block_ms", 20.0, "Milliseconds of sound in one message.", 1.0, 1000.0),
    Setting("frame_id", "microphone", "Coordinate frame of the microphone."),
]


class MicrophoneNode(SensorNode[Microphone]):
    """Publishes every block in order; survives the loss of the device."""

    def __init__(self, name: str = "microphone", **options: Any) -> None:
        super().__init__(name, SETTINGS, [AUDIO_TOPIC], **options)

    def make(self) -> Microphone:
        values = {setting.name: self.settings[setting.name] for setting in SETTINGS}
        values["select"] = parse_channels(values["select"])
        return Microphone(MicrophoneConfig(**values), self.now)

    def read(self, sensor: Microphone) -> AudioBlock:
        return sensor.read(timeout=1.0)

    def deliver(self, item: AudioBlock) -> None:
        self.emit_audio(item.sample, item.sequence)

    def figures(self) -> dict[str, object]:
        return {"overruns": self.sensor.overruns} if self.sensor else {}


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `microphone`."""
    return run(lambda: [MicrophoneNode()], args)


if __name__ == "__main__":
    sys.exit(main())
