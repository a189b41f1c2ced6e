"""Nodes as processes: how they start, how they end, and the whole graph in one of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from graph import PATIENCE, eventually
from imagebind_msgs.msg import Embedding
from imagebind_msgs.srv import Encode
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from messages import DEMO, text
from vision_msgs.msg import Detection2DArray

from imagebind_node.nodes import qos

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(namespace, tmp_path):
    """Start `python -m imagebind_node.nodes.NAME` with parameters; killed at the end if it still runs."""
    processes = []

    def begin(name, *words, **parameters):
        command = [sys.executable, "-m", f"imagebind_node.nodes.{name}", *words]
        command += ["--ros-args", "-r", f"__ns:={namespace}"]
        for key, value in parameters.items():
            command += ["-p", f"{key.replace('__', ':')}:={value}"]
        log = (tmp_path / f"{name}.log").open("w+")
        environment = {**os.environ, "ROS_LOG_DIR": str(tmp_path)}
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=REPOSITORY, env=environment
        )
        process.log = tmp_path / f"{name}.log"
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_active(client, name, process):
    def active():
        assert process.poll() is None, process.log.read_text()
        response = client.call(GetState, f"{name}/get_state", GetState.Request())
        return response.current_state.id == State.PRIMARY_STATE_ACTIVE

    eventually(active, f"{name} is active")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("encoder", {"modalities": "[text]"}),
        ("detector", {"modalities": "[vision, text]"}),
        ("camera", {"source": "/nowhere.mp4"}),
        ("microphone", {"device": "none such"}),
        ("replay", {"images": str(DEMO / "meadow.jpg"), "loop": "true"}),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_with_status_0(start, client, name, parameters, number):
    process = start(name, **parameters)
    wait_active(client, name, process)
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0, process.log.read_text()
    log = process.log.read_text()
    assert "Traceback" not in log
    assert "terminate called" not in log


@pytest.mark.timeout(300)
def test_a_signal_while_loading_ends_with_status_0(start):
    process = start("encoder")
    # The handler is in place once rclpy has been initialised, which maps the DDS library; then PyTorch loads.
    eventually(lambda: "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(), "PyTorch is being loaded")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0, process.log.read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"checkpoint": "/nowhere"}, "/nowhere"),
        ({"precision": "fp99"}, "'fp99' is not one of"),
        ({"hop": "99.0"}, "hop"),
    ],
)
def test_what_cannot_start_says_why_in_one_line_and_ends_with_status_2(start, parameters, complaint):
    process = start("encoder", **parameters)
    assert process.wait(PATIENCE) == 2, process.log.read_text()
    log = process.log.read_text()
    assert complaint in log
    assert "Traceback" not in log


@pytest.mark.timeout(400)
def test_the_whole_graph_in_one_process(start, client):
    embeddings = client.collect(Embedding, "embedding/audio", qos.RESULT)
    detections = client.collect(Detection2DArray, "detections", qos.RESULT)
    process = start(
        "up",
        "--nodes",
        "replay,encoder,detector",
        replay__images=str(DEMO / "meadow.jpg"),
        replay__audio=str(DEMO / "dog.flac"),
        replay__loop="true",
        replay__wait_for_subscribers="0.0",
        encoder__modalities="[vision, audio, text]",
        encoder__max_age="0.0",
        detector__max_age="0.0",
        detector__cue_timeout="60.0",
        detector__min_score="0.0",
    )
    for name in ("replay", "encoder", "detector"):
        wait_active(client, name, process)
    eventually(lambda: len(embeddings) > 5, "embeddings")
    eventually(lambda: any(d.detections for d in list(detections)), "boxes")
    # By reference inside the process: no subscription of ours to the sensors' topics.
    assert client.node.count_subscribers("camera/image_raw") == 0
    assert client.node.count_subscribers("audio") == 0
    response = client.call(Encode, "encoder/encode", Encode.Request(content=text("a dog")))
    assert response.success, response.message
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0, process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_unknown_node_of_up_is_refused(start):
    process = start("up", "--nodes", "toaster")
    assert process.wait(PATIENCE) == 2
    assert "unknown node toaster" in process.log.read_text()


def test_a_driver_process_imports_no_torch():
    code = (
        "import sys\n"
        "import imagebind_node.nodes.camera, imagebind_node.nodes.microphone, imagebind_node.nodes.replay\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("keys", [False, True])
def test_where_security_is_enforced_no_node_runs_without_it(tmp_path, keys):
    """Without keys ROS refuses at once; with some, the middleware of the wheels, which has no security, does."""
    if keys:
        (tmp_path / "enclaves" / "imagebind_node" / "fusion").mkdir(parents=True)
    secured = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "imagebind_node.nodes.fusion",
            "--ros-args",
            "--enclave",
            "/imagebind_node/fusion",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=REPOSITORY,
        env=os.environ | secured | {"ROS_SECURITY_KEYSTORE": str(tmp_path)},
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1
