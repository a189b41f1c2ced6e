"""Shared memory of killed processes is handed back, that of the living is not touched."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from graph import eventually

from imagebind_node.nodes.shared_memory import remove_dead_segments

SHARED = Path("/dev/shm")
PROGRAM = """
import time
from imagebind_node.nodes.transport import use_large_shared_memory
use_large_shared_memory()
import rclpy
rclpy.init()
node = rclpy.create_node("holder")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder():
    """A process with a DDS participant, and the segment that it made."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    mapped = Path(f"/proc/{process.pid}/maps").read_text().split()
    files = {Path(word) for word in mapped if word.startswith(f"{SHARED}/fastdds_") and "port" not in word}
    # It maps the segments of others in the same domain, too.
    own = [path for path in files if time.time() - path.stat().st_mtime < 60 and path not in BEFORE]
    yield process, own
    process.kill()
    process.wait()


BEFORE = set(SHARED.glob("fastdds_*"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="no /dev/shm")
def test_a_killed_process_leaves_a_segment_that_is_removed(holder):
    process, own = holder
    if not own:
        pytest.skip("this Fast DDS made no shared memory segment")
    for path in own:
        age(path)
    remove_dead_segments()
    assert all(path.exists() for path in own), "it lives"
    process.kill()
    process.wait()
    for path in own:
        age(path)
    eventually(lambda: remove_dead_segments() >= 0 and not any(path.exists() for path in own), "the removal")


def test_what_is_young_is_left_alone(tmp_path):
    (tmp_path / "fastdds_0123").write_bytes(b"1")
    (tmp_path / "fastdds_0123_el").touch()
    (tmp_path / "fastdds_port7400_el").touch()
    assert remove_dead_segments(tmp_path) == 0
    age(tmp_path / "fastdds_0123")
    age(tmp_path / "fastdds_port7400")
    assert remove_dead_segments(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["fastdds_port7400_el"]


def age(segment):
    """Let the lock of a segment be a minute old."""
    lock = segment.with_name(f"{segment.name}_el")
    if lock.exists():
        os.utime(lock, (time.time() - 60, time.time() - 60))
