"""Microphones, cameras and serial ports of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from imagebind_node.cli.checks import Finding, State
from imagebind_node.cli.checks.child import run_child

_REALSENSE = """
import pyrealsense2
info = pyrealsense2.camera_info
for device in pyrealsense2.context().query_devices():
    print(f"{device.get_info(info.name)}, serial {device.get_info(info.serial_number)}")
"""


def check_devices() -> Iterator[Finding]:
    """Audio inputs, video devices, and what the installed extras can drive."""
    yield from _microphones()
    yield from _cameras()
    if find_spec("pyrealsense2") is not None:
        yield from _realsense()
    if find_spec("serial") is not None:
        yield from _serial_ports()


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


def _realsense() -> Iterator[Finding]:
    # Not in this process: the SDK brings a Fast DDS of its own, and together with that of ROS it crashes at exit.
    found, reason = run_child(_REALSENSE)
    if reason:
        yield Finding("realsense", State.BROKEN, reason, "check the cable and the SDK's udev rules")
        return
    for name in found:
        yield Finding("realsense", State.OK, name)
    if not found:
        yield Finding(
            "realsense",
            State.MISSING,
            "no RealSense camera",
            "plug it into a USB 3 port, install the SDK's udev rules, in a container pass /dev/bus/usb",
        )


def _serial_ports() -> Iterator[Finding]:
    from serial.tools.list_ports import comports

    # Ports of the mainboard without anything behind them have no hardware id.
    ports = [port for port in comports() if port.hwid != "n/a"]
    for port in ports:
        if os.access(port.device, os.R_OK | os.W_OK):
            yield Finding("serial", State.OK, f"{port.device}: {port.description}")
        else:
            yield Finding(
                "serial",
                State.BROKEN,
                f"{port.device}: no permission",
                "sudo usermod -aG dialout $USER, then log in again",
            )
    if not ports:
        yield Finding(
            "serial",
            State.MISSING,
            "no USB serial port",
            "plug in the IMU, in a container pass --device /dev/ttyUSB0",
        )
