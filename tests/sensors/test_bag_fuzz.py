"""Recordings as hostile input: real ones with bytes changed, cut or added end in our errors or in samples, in time.

FUZZ_EXAMPLES=2000 tries more than CI does.
"""

import os
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rosbags")

from recorded_bag import write

from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.sensors.bag import CAMERA_INFO, Recording, sample_of

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
SECONDS = 20.0


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def bag(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "bag"
    write(folder, request.param)
    return folder


def mutated(content, cuts, changes, extra):
    """`content` with bytes replaced at relative places, cut to a share, and bytes put in."""
    data = bytearray(content)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    place, junk = extra
    at = int(place * len(data))
    data[at:at] = junk
    return bytes(data[: max(0, int(len(data) * cuts))])


def one_line(error):
    assert str(error) and "\n" not in str(error)


def read_all(folder):
    """How many messages could be used; what is refused must be one line of ours."""
    used = 0
    try:
        for recorded in Recording(folder).messages():
            try:
                if recorded.kind != CAMERA_INFO:
                    sample_of(recorded)
                    used += 1
            except InvalidInputError as error:
                one_line(error)
    except ImagebindNodeError as error:
        one_line(error)
    return used


def test_the_recording_is_whole(bag):
    assert read_all(bag) > 400


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    part=st.sampled_from(["data", "metadata"]),
    cuts=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
    changes=st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 255)), max_size=20),
    extra=st.tuples(st.floats(0.0, 1.0), st.binary(max_size=50)),
)
def test_damaged_recordings(bag, tmp_path_factory, part, cuts, changes, extra):
    folder = tmp_path_factory.mktemp("damaged") / "bag"
    shutil.copytree(bag, folder)
    path = next(p for p in folder.iterdir() if (p.suffix == ".yaml") == (part == "metadata"))
    path.write_bytes(mutated(path.read_bytes(), cuts, changes, extra))
    begin = time.monotonic()
    read_all(folder)
    assert time.monotonic() - begin < SECONDS
    shutil.rmtree(folder.parent)
