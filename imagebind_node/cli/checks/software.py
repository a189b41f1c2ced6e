"""Python, the libraries that the package stands on, and this machine."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from imagebind_node.cli.checks import Finding, State

NEEDED = ("numpy", "scipy", "torch", "safetensors", "pillow", "soundfile", "tokenizers", "pyyaml", "psutil")
# OpenCV comes under several names: wheels with and without windows, and the system package without metadata.
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
_OLDEST, _NEWEST = (3, 10), (3, 12)
SHM_BYTES = 64 * 1024**2


def check_software() -> Iterator[Finding]:
    """Python, needed libraries, PyTorch's devices."""
    running = sys.version_info[:2]
    name = f"Python {platform.python_version()} at {sys.executable}"
    if _OLDEST <= running <= _NEWEST:
        yield Finding("python", State.OK, name, needed=True)
    else:
        yield Finding("python", State.BROKEN, name, "use Python 3.10, 3.11 or 3.12", needed=running < _OLDEST)
    for package in NEEDED:
        yield _installed(package)
    yield _opencv()
    yield from _torch()


def check_machine() -> Iterator[Finding]:
    """Cores, memory, shared memory."""
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding(
        "machine",
        State.OK if memory.available > 1024**3 else State.BROKEN,
        f"{cores} cores, {memory.available / 1024**3:.1f} of {memory.total / 1024**3:.1f} GiB memory free",
        "" if memory.available > 1024**3 else "the default graph takes about 1 GiB: stop other programs",
    )
    shared = Path("/dev/shm")
    if not shared.is_dir() or not os.access(shared, os.W_OK):
        yield Finding(
            "shared memory",
            State.BROKEN,
            "/dev/shm is missing or not writable: pictures between processes go over UDP, slowly",
            "mount it, or start the container with --ipc=host or --shm-size=512m",
        )
        return
    room = os.statvfs(shared)
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    enough = free >= SHM_BYTES
    yield Finding(
        "shared memory",
        State.OK if enough else State.BROKEN,
        f"/dev/shm has {free / 1024**2:.0f} of {total / 1024**2:.0f} MiB free",
        ""
        if enough
        else "start the container with --shm-size=512m, or delete stale /dev/shm/fastrtps_* files",
    )


def _installed(package: str) -> Finding:
    try:
        return Finding("library", State.OK, f"{package} {version(package)}", needed=True)
    except PackageNotFoundError:
        return Finding(
            "library", State.BROKEN, f"{package} is not installed", f"pip install {package}", needed=True
        )


def _opencv() -> Finding:
    try:
        import cv2
    except ImportError as error:
        return Finding(
            "library",
            State.BROKEN,
            f"OpenCV cannot be loaded: {error}",
            "pip install opencv-python, or opencv-python-headless where libGL is missing",
            needed=True,
        )
    return Finding("library", State.OK, f"opencv {cv2.__version__}", needed=True)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding(
            "torch",
            State.BROKEN,
            f"PyTorch cannot be loaded: {error}",
            "pip install torch==2.13.0",
            needed=True,
        )
        return
    yield Finding("torch", State.OK, f"PyTorch runs on {torch.get_num_threads()} CPU threads", needed=True)
    if torch.cuda.is_available():
        yield Finding("torch", State.OK, f"GPU: {torch.cuda.get_device_name(0)}")
    else:
        yield Finding("torch", State.MISSING, "no CUDA GPU", "none needed for concept; it runs on the CPU")
