"""examples/lidar in small: from recordings to a node that embeds scans, with nothing of the package changed for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from graph import eventually
from imagebind_msgs.msg import Embedding
from messages import new_stamp
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from imagebind_node import load_encoder
from imagebind_node.binding.plugins import load_plugins
from imagebind_node.cli.main import main
from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import embedding
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.samples import ArraySample, new_modality

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lidar"
DRIVES, PAIRS = 36, 8


@pytest.fixture(scope="module")
def example():
    """The example's modules, found as a user makes them found."""
    sys.path.insert(0, str(EXAMPLE))
    before = os.environ.get("IMAGEBIND_NODE_PLUGINS")
    os.environ["IMAGEBIND_NODE_PLUGINS"] = "lidar_sense"
    load_plugins.cache_clear()
    import run

    yield run
    sys.path.remove(str(EXAMPLE))
    os.environ.pop("IMAGEBIND_NODE_PLUGINS")
    if before is not None:
        os.environ["IMAGEBIND_NODE_PLUGINS"] = before


@pytest.fixture(scope="module")
def made(example, tmp_path_factory):
    """The folder of the whole run and the bound tower."""
    folder = tmp_path_factory.mktemp("lidar") / "out"
    recipe = yaml.safe_load((EXAMPLE / "lidar.yaml").read_text())
    recipe["training"] |= {"epochs": 60, "warmup_epochs": 5}
    recipe["tower"]["width"] = 32
    path = folder.parent / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    bound = example.bind_lidar(folder, DRIVES, PAIRS, 0, path)
    example.write_test_drives(folder / "pairs", folder / "test", every=1)
    return folder, bound


def test_scans_of_drives_that_were_held_out_find_their_pictures(example, made):
    folder, bound = made
    found = example.judged(folder / "pairs", bound)
    assert found["drives"] >= 8
    for direction in ("scan_to_picture", "picture_to_scan"):
        at_10 = found[direction]["R@10"]
        assert at_10["value"] > 1.5 * at_10["chance"], found
    place = found["same_kind_of_place_in_another_drive"]
    assert place["value"] > 2 * place["chance"], found
    assert place["ci95"][0] > place["chance"], found


def test_a_scan_in_a_file_is_a_query(made, capsys):
    folder, bound = made
    scan = sorted((folder / "test").glob("*.npz"))[0]
    words = [
        "retrieve",
        f"lidar:{scan}",
        "--among",
        folder / "test",
        "--modality",
        "vision",
        "--bound",
        bound,
    ]
    assert main([str(word) for word in words]) == 0
    assert ".png" in capsys.readouterr().out
    np.save(folder / "bare.npy", np.load(scan)["lidar"])
    words[1] = f"lidar:{folder / 'bare.npy'}"
    assert main([str(word) for word in words]) == 2
    assert "needs angle_increment" in capsys.readouterr().err


def test_the_node_embeds_scans_from_a_topic(made, client, running):
    folder, bound = made
    node = running.make(EncoderNode, max_age=0.0, rate__bound=0.0, modalities=["vision"], bound=[str(bound)])
    running.serve()
    heard = client.collect(Embedding, "embedding/lidar", qos.RESULT)
    with np.load(sorted((folder / "test").glob("*.npz"))[0]) as arrays:
        ranges, facts = arrays["lidar"], {n: float(a) for n, a in arrays.items() if n != "lidar"}
    message = LaserScan(header=Header(stamp=new_stamp(), frame_id="lidar"), ranges=ranges.tolist(), **facts)
    publisher = client.publisher(LaserScan, "scan", qos.SENSOR)
    eventually(lambda: publisher.publish(message) or heard, "an embedding")
    encoder = load_encoder("concept", modalities=["lidar"], bound=[bound])
    (alone,) = encoder.encode("lidar", [ArraySample(ranges, new_modality("lidar"), facts)])
    assert embedding(heard[0], encoder.space) @ alone == pytest.approx(1.0, abs=1e-5)
    assert heard[0].header.frame_id == "lidar"
    assert node.errors.counts["lidar"] == 0


def test_beams_keep_their_direction_whatever_the_sensor_counts_from(example):
    from imagebind_node.binding.preprocessing import build_preprocessing

    ring = build_preprocessing({"name": "scan_ring", "beams": 8, "reach": 10.0}).function
    limits = {"range_min": 0.5, "range_max": 20.0}
    quarter = np.pi / 4

    def nearness(ranges, **angles):
        sample = ArraySample(np.array(ranges, np.float32), new_modality("lidar"), {**angles, **limits})
        return ring(sample)

    whole = [1, 2, 3, 4, 5, 6, 7, 8]
    expected = nearness(whole, angle_min=-np.pi, angle_increment=quarter)
    assert expected[0].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    turned = nearness([5, 6, 7, 8, 1, 2, 3, 4], angle_min=0.0, angle_increment=quarter)
    backwards = nearness([1, 8, 7, 6, 5, 4, 3, 2], angle_min=np.pi, angle_increment=-quarter)
    for other in (turned, backwards):
        assert np.allclose(other, expected, atol=1e-6)
    half = nearness([3, 4, 5, 6], angle_min=-np.pi / 2, angle_increment=quarter)
    assert half[1].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    odd = nearness([np.inf, np.nan, 0.1, 30, 15, 5, 5, 5], angle_min=-np.pi, angle_increment=quarter)
    assert odd[1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert odd[0, 4] == 0, "beyond its reach, but an echo"
    with pytest.raises(InvalidInputError, match="angle_min"):
        ring(ArraySample(np.ones(8, np.float32), new_modality("lidar")))
