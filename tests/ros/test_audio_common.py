"""Sound of both packages called audio_common_msgs, each built from its fields: from a driver to an embedding."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from graph import eventually
from imagebind_msgs.msg import Embedding
from message_package import build, can_build
from messages import demo_sound
from scipy.signal import resample_poly

from imagebind_node.nodes import qos

HERE = Path(__file__).parent
RATE = 16000
# Names, types and order of the fields in ros-drivers/audio_common (branch ros2) and mgonzs13/audio_common (4.0).
ROS_DRIVERS = {
    "AudioData": "uint8[] data\n",
    "AudioDataStamped": "std_msgs/Header header\naudio_common_msgs/AudioData audio\n",
    "AudioInfo": (
        "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\nstring coding_format\n"
    ),
}
MGONZS13 = {
    "AudioData": (
        "float32[] float32_data\nint32[] int32_data\nint16[] int16_data\nint8[] int8_data\nuint8[] uint8_data\n"
    ),
    "AudioInfo": "int32 format\nint32 channels\nint32 rate\nint32 chunk\n",
    "Audio": "audio_common_msgs/AudioData audio_data\naudio_common_msgs/AudioInfo info\n",
    "AudioStamped": "std_msgs/Header header\naudio_common_msgs/Audio audio\n",
}

pytestmark = pytest.mark.skipif(not can_build(), reason="needs g++")


@pytest.fixture(scope="module")
def bark(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "bark.wav"
    soundfile.write(path, demo_sound("dog"), RATE, subtype="PCM_16")
    return path


class Processes:
    """The encoder node and one talker at a time, which see the messages of one package."""

    def __init__(self, namespace, environment, folder):
        self.namespace, self.folder = namespace, folder
        self.environment = {**os.environ, **environment, "ROS_LOG_DIR": str(folder)}
        self.running = []

    def encoder(self, **parameters):
        command = [sys.executable, "-m", "imagebind_node.nodes.encoder"]
        command += [
            "--ros-args",
            "-r",
            f"__ns:={self.namespace}",
            "-p",
            "modalities:=[audio]",
            "-p",
            "max_age:=0.0",
        ]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        self._start(command, "encoder")

    def talk(self, kind, path, coding="wave"):
        command = [
            sys.executable,
            str(HERE / "audio_common_talker.py"),
            kind,
            str(path),
            self.namespace,
            coding,
        ]
        return self._start(command, "talker")

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def _start(self, command, name):
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, cwd=HERE.parents[1]
            )
        self.running.append(process)
        return process

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()


def barks(heard):
    return [
        e
        for e in heard
        if not e.abstained and e.labels and e.labels[0] in ("Bark", "Dog", "Animal", "Bow-wow")
    ]


@pytest.mark.timeout(600)
def test_audio_stamped_of_mgonzs13(client, namespace, bark, tmp_path):
    processes = Processes(namespace, build("audio_common_msgs", MGONZS13, tmp_path / "package"), tmp_path)
    # Two channels at another rate: what the encoder converts.
    sound, _ = soundfile.read(bark)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([resample_poly(sound, 3, 1)] * 2, 1), 3 * RATE, subtype="PCM_16")
    heard = client.collect(Embedding, "embedding/audio", qos.RESULT)
    try:
        processes.encoder()
        processes.talk("AudioStamped", path)
        eventually(lambda: len(barks(heard)) >= 3, f"barks: {[list(e.labels) for e in heard[-3:]]}")
        assert barks(heard)[-1].header.frame_id == "ear"
        assert "rror" not in processes.log("encoder")
    finally:
        processes.close()


@pytest.mark.timeout(600)
def test_audio_data_of_ros_drivers(client, namespace, bark, tmp_path):
    processes = Processes(namespace, build("audio_common_msgs", ROS_DRIVERS, tmp_path / "package"), tmp_path)
    heard = client.collect(Embedding, "embedding/audio", qos.RESULT)
    try:
        processes.encoder()
        talker = processes.talk("AudioDataStamped", bark)
        eventually(lambda: len(barks(heard)) >= 3, "barks")
        assert barks(heard)[-1].header.frame_id == "ear"
        talker.kill()
        talker.wait()
        # The same topic with another type: the encoder follows. Without stamps, and before its AudioInfo.
        talker = processes.talk("AudioData", bark)
        heard.clear()
        eventually(lambda: len(barks(heard)) >= 3, "barks without stamps")
        talker.kill()
        talker.wait()
        processes.talk("AudioDataStamped", bark, coding="mp3")
        eventually(
            lambda: "start audio_capture with format:=wave" in processes.log("encoder"), "the complaint"
        )
    finally:
        processes.close()


@pytest.mark.timeout(600)
def test_a_type_that_is_not_installed_is_named(client, running):
    """Any other type will do for one that is not installed here: the node lives and says what it found."""
    from std_msgs.msg import String

    from imagebind_node.nodes.encoder import EncoderNode

    node = running.make(EncoderNode, modalities=["audio"])
    running.serve()
    client.node.create_publisher(String, "audio", 1)
    eventually(lambda: node.errors.counts["audio"], "an error")
    assert "audio has type std_msgs/msg/String, which is none of" in node.errors.last["audio"]
