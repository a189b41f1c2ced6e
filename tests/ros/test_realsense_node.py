"""The RealSense node on a recording of the SDK's software device: every topic over DDS, and its consumers."""

import sys
from pathlib import Path

import numpy as np
import pytest
from graph import eventually
from imagebind_msgs.msg import Embedding
from sensor_msgs.msg import CameraInfo, Image, Imu

from imagebind_node.nodes import qos
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.nodes.realsense import RealSenseNode

pytest.importorskip("pyrealsense2", reason="needs the extra realsense")
sys.path.insert(0, str(Path(__file__).parents[1] / "sensors"))
import software_realsense as software

BAG = Path(__file__).parents[1] / "data" / "realsense" / "software_device.bag"


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.timeout(300)
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_publishes_colour_aligned_depth_geometry_and_motion(client, running, encoding):
    colours = client.collect(Image, "camera/image_raw", qos.SENSOR)
    depths = client.collect(Image, "depth/image_raw", qos.SENSOR)
    infos = client.collect(CameraInfo, "camera/camera_info", qos.SENSOR)
    depth_infos = client.collect(CameraInfo, "depth/camera_info", qos.SENSOR)
    motion = client.collect(Imu, "imu/data", 100)
    node = running.make(
        RealSenseNode, file=str(BAG), loop=True, depth_encoding=encoding, turn_rate_variance=0.02
    )
    running.serve()
    received = (colours, depths, infos, depth_infos)
    eventually(lambda: min(len(kind) for kind in received) > 5 and len(motion) > 100, "every topic")
    colour, depth = colours[-1], depths[-1]
    assert (colour.encoding, colour.width, colour.height) == ("rgb8", software.WIDTH, software.HEIGHT)
    assert (depth.encoding, depth.width, depth.height) == (encoding, software.WIDTH, software.HEIGHT)
    assert {stamp(one) for one in colours} & {stamp(one) for one in depths}, "one moment, one stamp"
    assert {stamp(one) for one in depths} & {stamp(one) for one in depth_infos}
    dtype, scale = (np.uint16, 1e3) if encoding == "16UC1" else (np.float32, 1.0)
    pixels = np.frombuffer(depth.data, dtype).reshape(software.HEIGHT, software.WIDTH) / scale
    red = (np.frombuffer(colour.data, np.uint8).reshape(-1, 3) == software.RED).all(-1)
    assert np.median(pixels.ravel()[red]) == pytest.approx(software.BOX, abs=1e-3)
    assert np.nanmedian(pixels.ravel()[~red]) == pytest.approx(software.WALL, abs=1e-3)
    assert infos[-1].k[0] == infos[-1].p[0] == software.COLOUR_FOCAL
    assert infos[-1].p[3] == 0.0
    assert depth_infos[-1].p[3] == pytest.approx(-software.COLOUR_FOCAL * software.BASELINE_MM / 1e3)
    assert {kind[-1].header.frame_id for kind in received} == {"camera_optical_frame"}
    one = motion[-1]
    assert one.header.frame_id == "camera_imu_optical_frame"
    assert one.linear_acceleration.y == pytest.approx(-9.81, abs=1e-3)
    assert one.angular_velocity.y == pytest.approx(0.1, abs=1e-6)
    assert one.orientation_covariance[0] == -1
    assert list(one.linear_acceleration_covariance) == [0.01, 0, 0, 0, 0.01, 0, 0, 0, 0.01]
    assert one.angular_velocity_covariance[8] == 0.02
    assert node.stats().lost <= node.stats().received // 2
    assert node.trigger_deactivate().name == "SUCCESS"


@pytest.mark.timeout(300)
def test_the_encoder_embeds_what_the_camera_delivers(client, running):
    """Colour, depth and motion of one camera, handed over by reference, as in `imagebind-node up`."""
    from imagebind_node.streaming.exchange import Exchange

    exchange = Exchange()
    kinds = ("vision", "depth", "imu")
    embeddings = {kind: client.collect(Embedding, f"embedding/{kind}", qos.RESULT) for kind in kinds}
    running.make(RealSenseNode, exchange=exchange, file=str(BAG), loop=True)
    node = running.make(EncoderNode, exchange=exchange, modalities=list(kinds), max_age=0.0)
    running.serve()
    for kind in kinds:
        eventually(lambda kind=kind: embeddings[kind] or node.errors.last.get(kind), kind)
        assert embeddings[kind], node.errors.last
    assert embeddings["depth"][-1].header.frame_id == "camera_optical_frame"
    assert embeddings["imu"][-1].header.frame_id == "camera_imu_optical_frame"
