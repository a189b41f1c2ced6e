"""Fixtures that several folders of tests share."""

from __future__ import annotations

import contextlib
import os

import pytest
from virtual_microphone import VirtualMicrophone, missing_tools


@pytest.fixture
def virtual_microphone():
    """A running virtual microphone that this process and its children see as the default input device."""
    with running_microphone(channels=1) as microphone:
        yield microphone


@pytest.fixture
def stereo_microphone():
    """The same with two channels."""
    with running_microphone(channels=2) as microphone:
        yield microphone


@contextlib.contextmanager
def running_microphone(channels):
    missing = missing_tools()
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt install pulseaudio pulseaudio-utils libasound2-plugins")
    microphone = VirtualMicrophone(channels)
    before = {name: os.environ.get(name) for name in microphone.environment}
    os.environ.update(microphone.environment)
    try:
        microphone.start()
        yield microphone
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        microphone.stop()
