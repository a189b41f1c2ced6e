"""Microphones and cameras of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from imagebind_node.cli.checks import Finding, State


def check_devices() -> Iterator[Finding]:
    """Audio inputs and video devices."""
    yield from _microphones()
    yield from _cameras()


def _microphones() -> Iterator[Finding]:
    try:
        import sounddevice
    except ImportError as error:
        yield Finding("microphone", State.MISSING, f"sounddevice: {error}", "pip install sounddevice")
        return
    except OSError as error:
        yield Finding("microphone", State.MISSING, str(error), "apt-get install libportaudio2")
        return
    try:
        devices = list(sounddevice.query_devices())
    except sounddevice.PortAudioError as error:
        yield Finding("microphone", State.BROKEN, f"PortAudio: {error}", "check ALSA or PulseAudio")
        return
    inputs = [d for d in devices if d["max_input_channels"] > 0]
    for index, device in ((devices.index(d), d) for d in inputs):
        yield Finding(
            "microphone",
            State.OK,
            f"{index}: {device['name']}, {device['max_input_channels']} channels, "
            f"{device['default_samplerate']:.0f} Hz",
        )
    if not inputs:
        yield Finding(
            "microphone",
            State.MISSING,
            "PortAudio sees no audio input",
            "plug in a microphone, add yourself to group audio, in a container pass --device /dev/snd; "
            "or play a file with the replay node",
        )


def _cameras() -> Iterator[Finding]:
    devices = sorted(Path("/dev").glob("video*"))
    for device in devices:
        if os.access(device, os.R_OK | os.W_OK):
            yield Finding("camera", State.OK, f"{device} can be opened")
        else:
            yield Finding(
                "camera",
                State.BROKEN,
                f"{device}: no permission",
                "sudo usermod -aG video $USER, then log in again",
            )
    if not devices:
        yield Finding(
            "camera",
            State.MISSING,
            "no /dev/video*",
            "plug in a camera, in a container pass --device /dev/video0; "
            "or use a file, a stream or the replay node",
        )
