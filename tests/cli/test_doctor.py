"""The doctor on the machine as it is, and on a graph whose ends do not fit together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.metadata import metadata

import pytest

from imagebind_node.cli.checks import State

ENDS = """
import sys, time
from imagebind_node.nodes.environment import prepare
prepare()
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float32, String
contexts = [rclpy.Context(), rclpy.Context()]
for context in contexts:
    rclpy.init(context=context)
best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
talker = rclpy.create_node("talker", namespace="left", context=contexts[0])
listener = rclpy.create_node("listener", namespace="right", context=contexts[1])
talker.create_publisher(String, "/quality", best_effort)
listener.create_subscription(String, "/quality", print, 10)
talker.create_publisher(String, "/kind", 10)
listener.create_subscription(Float32, "/kind", print, 10)
talker.create_publisher(String, "/fine", 10)
listener.create_subscription(String, "/fine", print, best_effort)
print("ready", flush=True)
time.sleep(120)
"""


@pytest.fixture
def domain() -> str:
    """A DDS domain of our own: other tests may run on this machine."""
    return str(20 + os.getpid() % 80)


def findings(document, area):
    return [finding for finding in document["findings"] if finding["area"] == area]


def test_the_machine_at_hand(run_process, domain):
    result = run_process("doctor", "--json", ROS_DOMAIN_ID=domain)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["schema"] == "imagebind_node.doctor/1"
    assert document["works"]
    for finding in document["findings"]:
        assert set(finding) == {"area", "state", "what", "mend", "needed"}
        assert finding["state"] == State.OK.value or finding["mend"]
    (dds,) = findings(document, "dds")
    assert dds["state"] == "ok", dds
    assert any("sha256" in finding["what"] for finding in findings(document, "model"))


def test_both_ends_of_a_mismatch_are_named(run_process, domain):
    variables = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    ends = subprocess.Popen(
        [sys.executable, "-c", ENDS], stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    try:
        assert ends.stdout.readline() == "ready\n"
        time.sleep(0.5)
        result = run_process("doctor", "--json", "--graph-seconds", "4", **variables)
    finally:
        ends.kill()
        ends.wait()
    faults = [f for f in findings(json.loads(result.stdout), "graph") if f["state"] == "broken"]
    assert len(faults) == 2, faults
    kind, quality = sorted(faults, key=lambda fault: fault["what"])
    for fault in faults:
        assert "/left/talker -> /right/listener" in fault["what"]
        assert fault["mend"]
    assert kind["what"].startswith("/kind")
    assert "std_msgs/msg/String" in kind["what"]
    assert "std_msgs/msg/Float32" in kind["what"]
    assert quality["what"].startswith("/quality")
    assert "offered best_effort" in quality["what"]
    assert "requested reliable" in quality["what"]


def test_damaged_model_files_fail_the_doctor(run_process, tmp_path):
    result = run_process("doctor", IMAGEBIND_NODE_MODELS=str(tmp_path), ROS_DOMAIN_ID="99")
    assert result.returncode == 1
    assert "does not work" in result.stdout
    assert "IMAGEBIND_NODE_MODELS" in result.stdout


def test_every_extra_has_a_row():
    from imagebind_node.cli.checks.extras import PURPOSES, check_extras

    declared = set(metadata("imagebind_node").get_all("Provides-Extra")) - {"ros"}
    found = list(check_extras())
    assert len(found) == len(declared)
    assert {f.what.split(" ")[0].rstrip(":") for f in found} == declared
    assert set(PURPOSES) <= declared
    assert all(f.mend for f in found if f.state is not State.OK)


def test_an_extra_that_is_too_old_or_missing_is_told():
    from imagebind_node.cli.checks.extras import _extra

    assert _extra("dev", ["pytest>=1"]).state is State.OK
    old = _extra("dev", ["pytest>=1000"])
    assert old.state is State.BROKEN
    assert "needs pytest>=1000" in old.what
    missing = _extra("realsense", ["no-such-package>=2"])
    assert missing.state is State.MISSING
    assert "RealSense cameras" in missing.what
    assert "EXTRAS=realsense" in missing.mend


def test_a_library_that_crashes_does_not_end_the_doctor():
    from imagebind_node.cli.checks.child import run_child

    assert run_child("print('a'); print('b')") == (["a", "b"], "")
    assert run_child("import no_such_module")[1] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert "status -11" in run_child("import os; os.kill(os.getpid(), 11)")[1]


def test_a_clock_that_is_set_is_noticed():
    from imagebind_node.cli.checks.clock import JumpWatch

    watch = JumpWatch()
    assert watch.finding().state is State.OK
    watch._offset -= 3600
    found = watch.finding()
    assert found.state is State.BROKEN
    assert "+3600" in found.what
