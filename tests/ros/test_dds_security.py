"""The policy at work: real DDS Security with keys and permissions made of config/sros2.

The Fast DDS of the ROS wheels is built without security, so this takes the system's (Debian and Ubuntu:
libfastrtps-dev), on the topics and with the permissions that ROS would use.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from enclaves import make_keystore

HEADER = "fastdds/dds/domain/DomainParticipant.hpp"
SOURCE = Path(__file__).with_name("enclave_probe.cpp")
TOPIC = "rt/embedding/audio"
DOMAIN = int(os.environ["ROS_DOMAIN_ID"])


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    if (
        not (Path("/usr/include") / HEADER).is_file()
        or not shutil.which("openssl")
        or not shutil.which("g++")
    ):
        pytest.skip("no Fast DDS with security: apt install libfastrtps-dev openssl g++")
    program = tmp_path_factory.mktemp("probe") / "enclave_probe"
    command = ["g++", "-O0", "-w", "-std=c++17", SOURCE, "-o", program, "-lfastrtps", "-lfastcdr", "-pthread"]
    done = subprocess.run(
        [*command, "-Wl,--allow-shlib-undefined"], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


# Neither the libraries of the wheels nor our transport profile, which is of another version.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH" and "PROFILES_FILE" not in k}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys") / "ours"
    make_keystore(folder, ["encoder", "client", "operator"], DOMAIN)
    return folder


@pytest.fixture
def take_part(probe):
    """Start a participant; `result(it)` waits for what it says."""
    started = []

    def start(keys: object, role: str, topic: str, seconds: int = 8) -> subprocess.Popen:
        command = [str(probe), str(keys), str(DOMAIN), role, topic, str(seconds)]
        started.append(
            subprocess.Popen(
                command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    # Fast DDS writes its log to the same place, from a thread of its own.
    return json.loads(next(line for line in out.splitlines() if line.startswith("{")))


@pytest.mark.timeout(300)
def test_only_who_has_keys_of_the_keystore_takes_part(take_part, keys, tmp_path):
    make_keystore(tmp_path / "theirs", ["client"], DOMAIN)
    take_part(keys / "encoder", "pub", TOPIC, 60)
    client = take_part(keys / "client", "sub", TOPIC, 60)
    stranger = take_part("-", "sub", TOPIC)
    forger = take_part(tmp_path / "theirs" / "client", "sub", TOPIC)
    intruder, misled = (
        take_part("-", "pub", "rt/detections"),
        take_part(keys / "client", "sub", "rt/detections"),
    )
    heard = result(client)
    assert heard["received"] > 0
    assert heard["authorised"] >= 1
    for outsider in (result(stranger), result(forger), result(intruder)):
        # They see that somebody is there, and nothing of what is said.
        assert outsider["discovered"] >= 1
        assert (outsider["matched"], outsider["received"]) == (0, 0)
    assert result(misled)["received"] == 0


@pytest.mark.parametrize(
    ("who", "role", "topic", "state"),
    [
        ("client", "pub", TOPIC, "not permitted"),
        ("client", "pub", "rq/encoder/encodeRequest", "ran"),
        ("client", "pub", "rq/encoder/set_parametersRequest", "not permitted"),
        ("client", "pub", "rq/memory/forgetRequest", "not permitted"),
        ("operator", "pub", "rq/encoder/set_parametersRequest", "ran"),
        ("operator", "pub", "rq/memory/forgetRequest", "ran"),
        ("encoder", "pub", "rt/rosout", "ran"),
        ("encoder", "sub", "rt/detections", "not permitted"),
        ("encoder", "sub", "rt/camera/image_raw/compressed", "ran"),
    ],
)
def test_permissions_hold(take_part, keys, who, role, topic, state):
    assert result(take_part(keys / who, role, topic, 1))["state"] == state
