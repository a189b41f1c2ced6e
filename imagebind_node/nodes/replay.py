"""Replay node: files on `camera/image_raw` and `audio`, or a recording on its own topics, in real time.

ros2 run imagebind_node replay --ros-args -p images:=scene.jpg -p audio:=dog.ogg
ros2 run imagebind_node replay --ros-args -p bag:=monday/ -p speed:=2.0
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.bag_player import BagPlayer
from imagebind_node.nodes.driver import AUDIO_TOPIC, CAMERA_TOPIC, DriverNode
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import READ
from imagebind_node.samples import AudioSample, ImageSample
from imagebind_node.sensors.replay import Replay, ReplayConfig

SETTINGS = [
    Setting("images", "", "Picture, video, or folder of these; empty: none.", path=READ),
    Setting("audio", "", "Sound file or folder of these; empty: none.", path=READ),
    Setting("bag", "", "Recording (rosbag2 MCAP or SQLite, ROS 1) to play instead; empty: none.", path=READ),
    Setting(
        "bag_stamps",
        "now",
        "Stamps of a recording: moved to the present, or as recorded with the time on /clock (use_sim_time).",
        choices=("now", "recorded"),
    ),
    Setting("rate", 0.0, "Pictures a second; 0: a video's own, 15 for pictures.", 0.0, 1000.0),
    Setting("hold", 0.0, "Seconds that each still picture is repeated for; 0: once.", 0.0, 86400.0),
    Setting("gap", 0.0, "Seconds of silence before each sound.", 0.0, 3600.0),
    Setting("block_ms", 20.0, "Milliseconds of sound in one message.", 1.0, 1000.0),
    Setting("speed", 1.0, "2 plays twice as fast.", 0.01, 100.0),
    Setting("loop", False, "Start over at the end."),
    Setting("camera_frame_id", "camera_optical_frame", "Coordinate frame of the pictures."),
    Setting("microphone_frame_id", "microphone", "Coordinate frame of the sound."),
    Setting(
        "wait_for_subscribers", 5.0, "Seconds to wait at most for subscribers of each topic.", 0.0, 600.0
    ),
    Setting("subscribers", 1, "Subscribers of each topic to wait for.", 1, 1000),
]
_WAITING = ("wait_for_subscribers", "subscribers", "bag", "bag_stamps")
_POLL = 0.02
# Once no further subscriber came for this long, all that are running have been found.
_SETTLED = 1.0


class ReplayNode(DriverNode):
    """Plays files as if they were a camera and a microphone; every run publishes the same."""

    def __init__(self, name: str = "replay", **options: Any) -> None:
        super().__init__(name, SETTINGS, [CAMERA_TOPIC, AUDIO_TOPIC], **options)
        self._replay: Replay | None = None
        self._player: BagPlayer | None = None
        self.finished = threading.Event()

    def configure(self) -> None:
        self._replay = self._player = None
        if self.settings["bag"]:
            self._configure_bag()
            return
        names = [setting.name for setting in SETTINGS if setting.name not in _WAITING]
        self._replay = Replay(ReplayConfig(**{name: self.settings[name] for name in names}))
        self._topics = tuple(
            topic
            for topic, wanted in ((CAMERA_TOPIC, "images"), (AUDIO_TOPIC, "audio"))
            if self.settings[wanted]
        )
        super().configure()

    def _configure_bag(self) -> None:
        if self.settings["images"] or self.settings["audio"]:
            raise InvalidInputError("replay plays either a bag or images and audio: set only one")
        self._topics = ()
        super().configure()
        self._player = BagPlayer(
            self,
            self.settings["bag"],
            speed=self.settings["speed"],
            loop=self.settings["loop"],
            recorded=self.settings["bag_stamps"] == "recorded",
        )
        self._outputs = self._player.outputs

    def drive(self, stop: threading.Event) -> None:
        self.finished.clear()
        self._wait_for_subscribers(stop)
        if self._player is not None:
            self._player.play(stop)
            if not stop.is_set():
                self.get_logger().info("replay has ended")
                self.finished.set()
            return
        replay = self._replay
        assert replay is not None
        replay.play(self._emit, stop, self.now)
        for problem in replay.problems:
            self.get_logger().warning(f"skipped: {problem}")
        if not stop.is_set():
            self.get_logger().info("replay has ended")
            self.finished.set()

    def _emit(self, sample: ImageSample | AudioSample, sequence: int) -> None:
        if isinstance(sample, ImageSample):
            self.emit_picture(CAMERA_TOPIC, sample)
        else:
            self.emit_audio(sample, sequence)

    def _wait_for_subscribers(self, stop: threading.Event) -> None:
        """Discovery takes a moment: a recording whose first second nobody hears would not be the same twice."""
        give_up = time.monotonic() + self.settings["wait_for_subscribers"]
        before, since = [0], time.monotonic()
        while time.monotonic() < give_up and not stop.wait(_POLL):
            counts = [output.get_subscription_count() for output in self._outputs.values()]
            if counts != before:
                before, since = counts, time.monotonic()
            if min(counts) >= self.settings["subscribers"] and time.monotonic() - since > _SETTLED:
                return


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `replay`."""
    return run(lambda: [ReplayNode()], args)


if __name__ == "__main__":
    sys.exit(main())
