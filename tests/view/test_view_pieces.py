"""Pictures, figures and words of the view."""

import cv2
import numpy as np
import pytest

from imagebind_node.view.found import Found
from imagebind_node.view.health import PartHealth, part_health
from imagebind_node.view.pictures import heat_png, jpeg, millimetres, shrink, thermal_range
from imagebind_node.view.words import health_text, query_text


@pytest.mark.parametrize(("size", "factor"), [((480, 640), 0.5), ((640, 480), 0.5), ((200, 320), 1.0)])
def test_shrinks_to_the_longer_side(size, factor):
    small, scale = shrink(np.zeros((*size, 3), np.uint8), 320)
    assert scale == factor
    assert small.shape == (round(size[0] * factor), round(size[1] * factor), 3)


def test_nearest_invents_no_depth():
    depth = np.where(np.arange(100)[None] < 50, 1.0, 9.0).astype(np.float32).repeat(10, axis=0)
    assert set(np.unique(shrink(depth, 33, nearest=True)[0])) == {1.0, 9.0}


def test_jpeg_keeps_colours_in_order():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    decoded = cv2.imdecode(np.frombuffer(jpeg(red), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[16, 16].tolist() == pytest.approx([0, 0, 254], abs=3)


def test_only_the_hot_part_of_a_heat_map_covers_the_picture():
    heat = np.full((60, 80), 0.1, np.float32)
    heat[:, :10] = 0.9
    heat[0, 79] = np.nan
    decoded = cv2.imdecode(np.frombuffer(heat_png(heat, 80), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (60, 80, 4)
    assert decoded[30, 5, 3] > 100
    assert decoded[30, 40, 3] == decoded[0, 79, 3] == 0


def test_a_flat_heat_map_covers_nothing():
    decoded = cv2.imdecode(np.frombuffer(heat_png(np.ones((8, 8)), 8), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded[..., 3].max() == 0


def test_millimetres_and_no_measurement():
    metres = np.array([[1.5, np.nan, np.inf, -1.0, 0.0, 100.0]], np.float32)
    assert millimetres(metres).tolist() == [[1500, 0, 0, 0, 0, 0]]


def test_thermal_range_is_never_empty():
    assert thermal_range(np.full((4, 4), 7.0))[1] > 7.0
    assert thermal_range(np.full((4, 4), np.nan)) == (0.0, 1.0)
    low, high = thermal_range(np.arange(1000.0))
    assert (low, high) == pytest.approx((9.99, 989.01))


def test_health_takes_latency_and_drops_and_only_its_namespace():
    values = {"latency p95 (ms)": "12.5", "dropped": "3", "too old": "1", "received": "900"}
    part = part_health("/robot/encoder: vision", 1, "slow", values, "/robot")
    assert part == PartHealth("encoder: vision", "warn", "slow", 12.5, 4.0)
    assert part_health("/robot2/encoder: vision", 0, "", values, "/robot") is None
    assert part_health("/encoder: vision", 0, "", {}, "/") == PartHealth("encoder: vision", "ok", "")
    # What a node cannot know yet it leaves empty; a stranger may write anything.
    odd = part_health("/a: b", 9, "", {"latency p95 (ms)": "", "dropped": "many"}, "/")
    assert odd == PartHealth("a: b", "level 9", "")


def test_health_says_the_worst_first():
    parts = [PartHealth("a", "ok", ""), PartHealth("b", "warn", ""), PartHealth("c", "error", "no | pipe")]
    rows = health_text(parts).splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["c", "b", "a"]
    assert r"no \| pipe" in rows[0]


def test_words_for_the_query_and_what_was_found():
    assert "Nothing is searched for" in query_text({}, [])
    assert "Not found" in query_text({"dog": 0.9}, [])
    text = query_text({"dog": 0.9}, [Found((0, 0, 1, 1), "dog", 0.97, "4")])
    assert "# dog" in text and "| dog | 0.97 | 4 |" in text


def test_labels_from_the_network_cannot_write_markdown():
    text = query_text({"[x](http://a) | *y*\n# z": 1.0}, [])
    assert r"\[x\]\(http://a\) \| \*y\* \# z" in text
    assert "\n# z" not in text
