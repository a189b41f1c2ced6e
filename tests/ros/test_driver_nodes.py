"""Driver and replay nodes: real files, a real sound system and a real tty in, topics out."""

import os
import pty
import tty
from itertools import pairwise

import cv2
import numpy as np
import pytest
import soundfile
from graph import eventually
from imagebind_msgs.msg import Audio, Embedding
from messages import DEMO, demo_sound
from mjpeg_server import MjpegServer
from sensor_msgs.msg import CameraInfo, Image, Imu

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.camera import CameraNode
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.nodes.imu import ImuNode
from imagebind_node.nodes.microphone import MicrophoneNode
from imagebind_node.nodes.replay import ReplayNode
from imagebind_node.nodes.thermal import ThermalNode

RATE = 16000
CALIBRATION = """\
image_width: {width}
image_height: 480
camera_matrix: {{rows: 3, cols: 3, data: [600, 0, 320, 0, 602, 240, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}}
rectification_matrix: {{rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}}
projection_matrix: {{rows: 3, cols: 4, data: [610, 0, 320, 0, 0, 612, 240, 0, 0, 0, 1, 0]}}
"""


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def joined(blocks):
    """The samples of audio messages, after checking that none is missing between them."""
    for one, two in pairwise(blocks):
        assert two.sequence == one.sequence + len(one.data) // one.channels
    return np.concatenate([np.array(block.data, np.float32) for block in blocks])


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15.0, (640, 480))
    for index in range(15):
        writer.write(np.full((480, 640, 3), (10, 10 * index, 240), np.uint8))
    writer.release()
    return path


def test_camera_publishes_its_calibration_for_pictures_of_that_size(client, running, video, tmp_path):
    infos = client.collect(CameraInfo, "camera/camera_info", qos.SENSOR)
    pictures = client.collect(Image, "camera/image_raw", qos.SENSOR)
    path = tmp_path / "camera.yaml"
    path.write_text(CALIBRATION.format(width=640))
    node = running.make(CameraNode, source=str(video), loop=True, frame_id="eye", calibration=str(path))
    running.serve()
    eventually(
        lambda: {stamp(i) for i in infos} & {stamp(p) for p in pictures}, "an info with a picture's stamp"
    )
    info = infos[-1]
    assert (info.width, info.height, info.header.frame_id) == (640, 480, "eye")
    assert (info.k[0], info.p[0], info.p[5], list(info.d)) == (600.0, 610.0, 612.0, [0.1, 0.0, 0.0, 0.0, 0.0])
    assert node.errors.counts["driver"] == 0
    node.trigger_deactivate()
    node.trigger_cleanup()
    path.write_text(CALIBRATION.format(width=320))
    node.trigger_configure()
    infos.clear()
    node.trigger_activate()
    eventually(lambda: node.errors.counts["driver"] > 0, "an error for the wrong size")
    assert "calibrated at 320x480" in node.errors.last["driver"]
    assert not infos


@pytest.mark.timeout(300)
def test_camera_publishes_a_video_and_survives_its_loss(client, running, video, tmp_path):
    pictures = client.collect(Image, "camera/image_raw", qos.SENSOR)
    source = tmp_path / "camera.avi"
    node = running.make(CameraNode, source=str(source), loop=True, frame_id="eye", read_timeout=0.3)
    running.serve()
    eventually(lambda: node.errors.counts["driver"] > 0, "an error without a camera")
    assert "camera.avi" in node.errors.last["driver"]
    source.write_bytes(video.read_bytes())
    eventually(lambda: len(pictures) > 5, "pictures once the camera is there")
    one = pictures[-1]
    assert (one.encoding, one.width, one.height, one.header.frame_id) == ("rgb8", 640, 480, "eye")
    middle = np.frombuffer(one.data, np.uint8).reshape(480, 640, 3)[240, 320]
    assert abs(int(middle[0]) - 240) < 12
    assert abs(int(middle[2]) - 10) < 12
    stamps = [stamp(p) for p in pictures]
    assert stamps == sorted(set(stamps))
    source.unlink()
    eventually(lambda: node.stats().state == "lost", "the loss")
    source.write_bytes(video.read_bytes())
    count = len(pictures)
    eventually(lambda: len(pictures) > count + 5, "pictures again")


@pytest.mark.timeout(300)
def test_a_camera_may_take_longer_to_open_than_a_picture_may_take(client, running):
    """An RTSP camera takes seconds: who hangs up for impatience never sees a picture."""
    server = MjpegServer()
    server.stalled.set()
    server.start()
    try:
        pictures = client.collect(Image, "camera/image_raw", qos.SENSOR)
        node = running.make(CameraNode, source=server.url, read_timeout=0.1)
        running.serve()
        eventually(lambda: node.errors.counts["driver"] > 5, "errors")
        server.stalled.clear()
        eventually(lambda: pictures, "pictures")
        assert server.connections == 1
    finally:
        server.stop()


@pytest.mark.timeout(300)
def test_microphone_publishes_what_it_hears_without_a_gap(virtual_microphone, client, running):
    blocks = client.collect(Audio, "audio", qos.audio())
    running.make(MicrophoneNode, frame_id="ear")
    running.serve()
    eventually(lambda: len(blocks) > 5, "sound")
    bark = demo_sound("dog")[: 2 * RATE]
    # On a busy machine the sound server may run dry while playing; one whole bark shows that the node drops nothing.
    for _ in range(5):
        count = len(blocks)
        virtual_microphone.play(bark).wait(60)
        eventually(lambda count=count: len(blocks) > count + 150, "three seconds of sound")
        heard = joined(list(blocks)[count:])
        first = int(np.abs(np.correlate(heard, bark, "valid")).argmax())
        likeness = np.corrcoef(heard[first : first + len(bark)], bark)[0, 1]
        if likeness > 0.98:
            break
    assert likeness > 0.98
    joined(blocks)
    assert (blocks[0].sample_rate, blocks[0].channels, blocks[0].header.frame_id) == (RATE, 1, "ear")


@pytest.mark.timeout(300)
def test_microphone_node_survives_an_unplugged_microphone(virtual_microphone, client, running):
    blocks = client.collect(Audio, "audio", qos.audio())
    node = running.make(MicrophoneNode)
    running.serve()
    eventually(lambda: len(blocks) > 5, "sound")
    virtual_microphone.unplug()
    eventually(lambda: node.stats().state == "lost", "the loss")
    virtual_microphone.start()
    count = len(blocks)
    eventually(lambda: len(blocks) > count + 10, "sound again")
    sequences = [block.sequence for block in blocks]
    assert sequences == sorted(set(sequences))


@pytest.mark.timeout(300)
def test_microphone_node_publishes_the_chosen_channel(stereo_microphone, client, running):
    blocks = client.collect(Audio, "audio", qos.audio())
    node = running.make(MicrophoneNode, channels=2, select=1)
    running.serve()
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(30 * RATE) / RATE)
    player = stereo_microphone.play(np.stack([np.zeros_like(tone), tone], 1))
    eventually(
        lambda: blocks and np.abs(blocks[-1].data).max() > 0.28, "the right channel, not the mean of both"
    )
    player.kill()
    player.wait()
    assert blocks[-1].channels == 1
    assert node.figures() == {"overruns": 0}


@pytest.mark.parametrize(("select", "complaint"), [("2", "cannot select 2"), ("left", "separated by commas")])
def test_microphone_node_refuses_channels_that_are_not_captured(running, select, complaint):
    node = running.make(MicrophoneNode, start=False, channels=2, select=select)
    assert not node.autostart()
    assert complaint in str(node.start_error)


def test_a_whole_number_does_for_a_text(running):
    node = running.make(CameraNode, start=False, source=63)
    assert node.settings["source"] == "63"
    with pytest.raises(InvalidInputError, match="parameter source: .* is no text"):
        running.make(CameraNode, start=False, source=[6, 3])


def test_microphone_node_lives_without_a_device(client, running):
    node = running.make(MicrophoneNode, device="no such microphone")
    running.serve()
    eventually(lambda: node.errors.counts["driver"] > 0, "an error")
    assert "no such microphone" in node.errors.last["driver"]
    assert node.trigger_deactivate().name == "SUCCESS"


@pytest.mark.timeout(300)
def test_replay_loses_no_sample_and_repeats_itself(client, running, tmp_path):
    blocks = client.collect(Audio, "audio", qos.audio())
    pictures = client.collect(Image, "camera/image_raw", qos.SENSOR)
    sound = demo_sound("duck")[: 2 * RATE]
    soundfile.write(tmp_path / "duck.wav", sound, RATE, subtype="FLOAT")
    node = running.make(
        ReplayNode, images=str(DEMO / "meadow.jpg"), audio=str(tmp_path / "duck.wav"), rate=15.0
    )
    running.serve()
    eventually(node.finished.is_set, "the end")
    eventually(lambda: sum(len(b.data) for b in blocks) == len(sound), "every sample")
    np.testing.assert_array_equal(joined(blocks), sound)
    assert pictures
    first = [(stamp(b) - stamp(blocks[0]), b.sequence, len(b.data)) for b in blocks]
    assert node.trigger_deactivate().name == "SUCCESS"
    blocks.clear()
    assert node.trigger_activate().name == "SUCCESS"
    eventually(lambda: sum(len(b.data) for b in blocks) == len(sound), "every sample again")
    again = [(stamp(b) - stamp(blocks[0]), b.sequence, len(b.data)) for b in blocks]
    assert again == first


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "nothing to replay"),
        ({"images": "/nowhere.jpg"}, "does not exist"),
        ({"audio": str(DEMO / "meadow.jpg")}, "not one of the known kinds of audio"),
    ],
)
def test_replay_that_has_nothing_to_play_says_so(running, parameters, complaint):
    node = running.make(ReplayNode, start=False, **parameters)
    assert not node.autostart()
    assert complaint in str(node.start_error)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("encoding", ["mono16", "32FC1"])
def test_thermal_node_publishes_16_bits_that_the_encoder_embeds(client, running, tmp_path, encoding):
    y, x = np.mgrid[:62, :80]
    counts = (29315 + 10 * x + 20 * y).astype(np.uint16)
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), counts)
    pictures = client.collect(Image, "thermal/image_raw", qos.SENSOR)
    embeddings = client.collect(Embedding, "embedding/thermal", qos.RESULT)
    running.make(
        ThermalNode,
        source=str(tmp_path / "%03d.png"),
        fps=10.0,
        loop=True,
        crop_bottom=2,
        kelvin_per_count=0.01,
        encoding=encoding,
    )
    node = running.make(
        EncoderNode,
        modalities=["thermal"],
        thermal__mode="radiometric",
        thermal__low=10.0,
        thermal__high=50.0,
        max_age=0.0,
    )
    running.serve()
    eventually(lambda: len(pictures) > 3 and (embeddings or node.errors.last), "pictures and embeddings")
    assert embeddings, node.errors.last
    one = pictures[-1]
    assert (one.encoding, one.width, one.height) == (encoding, 80, 60)
    dtype, scale = (np.uint16, 1) if encoding == "mono16" else (np.float32, 100)
    np.testing.assert_allclose(np.frombuffer(one.data, dtype).reshape(60, 80) * scale, counts[:60], rtol=1e-6)


def test_encoder_refuses_a_thermal_range_without_a_span(running):
    node = running.make(EncoderNode, start=False, modalities=["thermal"], thermal__mode="percentiles")
    assert not node.autostart()
    assert "low below high" in str(node.start_error)


@pytest.mark.timeout(300)
def test_imu_node_reads_a_serial_line_and_survives_its_loss(client, running, tmp_path):
    master, slave = pty.openpty()
    tty.setraw(slave)
    link = tmp_path / "ttyIMU"
    link.symlink_to(os.ttyname(slave))
    messages = client.collect(Imu, "imu/data", 100)
    node = running.make(ImuNode, port=str(link), acceleration_unit="g", acceleration_variance=0.04)
    running.serve()

    def talk():
        os.write(master, b"nonsense\n" + b"".join(b"0,0,1,0.5,0,%d\n" % n for n in range(20)))
        return len(messages) > 20

    eventually(talk, "measurements")
    one = messages[-1]
    assert one.linear_acceleration.z == pytest.approx(9.80665)
    assert one.angular_velocity.x == 0.5
    assert (one.header.frame_id, one.linear_acceleration_covariance[4]) == ("imu_link", 0.04)
    assert one.orientation_covariance[0] == -1
    assert node.figures()["malformed lines"] > 0
    os.close(slave)
    os.close(master)
    eventually(lambda: node.stats().state == "lost", "the loss")
    master, slave = pty.openpty()
    tty.setraw(slave)
    link.unlink()
    link.symlink_to(os.ttyname(slave))
    messages.clear()
    eventually(talk, "measurements again")
    os.close(slave)
    os.close(master)


def test_imu_node_refuses_an_unknown_unit(running):
    with pytest.raises(InvalidInputError, match="mg"):
        running.make(ImuNode, start=False, acceleration_unit="mg")
