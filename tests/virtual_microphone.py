"""A microphone without hardware: what is played into a PulseAudio null sink comes out of PortAudio's default input.

Debian packages: pulseaudio pulseaudio-utils libasound2-plugins libportaudio2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

NEEDED = ("pulseaudio", "pactl", "pacat")
_ALSA = """</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing_tools() -> list[str]:
    """Programs that the virtual microphone needs and this machine lacks."""
    return [tool for tool in NEEDED if shutil.which(tool) is None]


class VirtualMicrophone:
    """A private PulseAudio daemon. `environment` makes a process see its microphone; `play` makes sound."""

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels
        self.folder = Path(tempfile.mkdtemp(prefix="vmic_"))
        self.folder.chmod(0o700)
        (self.folder / "pulse").mkdir(mode=0o700)
        self.environment = {
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_RUNTIME_PATH": str(self.folder / "pulse"),
            "PULSE_STATE_PATH": str(self.folder / "state"),
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "PULSE_SERVER": f"unix:{self.folder}/native",
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }
        (self.folder / "asound.conf").write_text(_ALSA)
        self._daemon: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        command += [f"--log-target=file:{self.folder}/pulse.log"]
        for module in (
            f"module-native-protocol-unix socket={self.folder}/native auth-anonymous=1",
            f"module-null-sink norewinds=1 sink_name=speaker rate=16000 channels={self.channels}",
            "module-remap-source master=speaker.monitor source_name=microphone",
        ):
            command += ["-L", module]
        self._daemon = subprocess.Popen(command, env=self._env(), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while self._pactl("info").returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "pulse.log").read_text())
            time.sleep(0.05)
        self._pactl("set-default-sink", "speaker")
        self._pactl("set-default-source", "microphone")

    def unplug(self) -> None:
        """Kill the daemon: for a program that records, the device is gone."""
        assert self._daemon is not None
        self._daemon.kill()
        self._daemon.wait()
        (self.folder / "native").unlink(missing_ok=True)

    def stop(self) -> None:
        """End the daemon and remove its files."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.terminate()
            self._daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def play(self, samples: np.ndarray, rate: int = 16000) -> subprocess.Popen:
        """Play float samples (N,) or (N, channels) in -1..1; returns the playing process.

        The long buffer keeps the sound whole when a busy machine wakes the player late.
        """
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        command = [
            "pacat",
            "--raw",
            "--format=s16le",
            f"--rate={rate}",
            f"--channels={1 if samples.ndim == 1 else samples.shape[1]}",
            "--latency-msec=2000",
        ]
        # From a file: a pipe would hold us up until nearly all of a long sound was played.
        with tempfile.TemporaryFile() as file:
            file.write(pcm)
            file.seek(0)
            return subprocess.Popen(command, env=self._env(), stdin=file)

    def _pactl(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["pactl", *words], env=self._env(), capture_output=True, check=False)

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.environment}
