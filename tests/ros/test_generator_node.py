"""The generator node over DDS: goals, feedback, results, cancelling, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="the extra `generate` is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "generation"))

from action_msgs.msg import GoalStatus
from graph import eventually
from imagebind_msgs.action import Generate
from imagebind_msgs.msg import Content
from messages import demo_picture, image, text
from rclpy.action import ActionClient
from sensor_msgs.msg import Image
from tiny_unclip import DATA, write_pipeline

from imagebind_node.nodes import qos
from imagebind_node.nodes.generator import GeneratorNode


class Generator:
    """An action client on a running node."""

    def __init__(self, client, running, **parameters):
        self.node = running.make(GeneratorNode, **parameters)
        running.serve()
        self.client = client
        self.action = ActionClient(client.node, Generate, "generator/generate")
        eventually(self.action.server_is_ready, "the action server")
        self.feedback: list[Generate.Feedback] = []

    def send(self, **goal):
        """Send a goal; returns its handle."""
        future = self.action.send_goal_async(
            Generate.Goal(**goal), feedback_callback=lambda message: self.feedback.append(message.feedback)
        )
        eventually(future.done, "acceptance of the goal")
        handle = future.result()
        assert handle.accepted
        return handle

    def finish(self, handle):
        """(status, result)."""
        future = handle.get_result_async()
        eventually(future.done, "result of the goal")
        return future.result().status, future.result().result

    def generate(self, **goal):
        return self.finish(self.send(**goal))


@pytest.fixture(scope="module")
def unclip(tmp_path_factory):
    return write_pipeline(tmp_path_factory.mktemp("unclip"))


@pytest.fixture
def generator(client, running, unclip):
    # The small golden ImageBind in place of the real one, which no test machine has.
    weights = str(DATA / "reference_small.safetensors")
    towers = ["vision", "text"]
    made = Generator(
        client, running, model="imagebind_huge", checkpoint=weights, modalities=towers, folder=str(unclip)
    )
    yield made
    made.action.destroy()


def pixels(message):
    assert message.encoding == "rgb8"
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


@pytest.mark.timeout(300)
def test_a_goal_gives_progress_pictures_and_seeds(generator, client):
    published = client.collect(Image, "generated/image", qos.RESULT)
    publisher = next(p for p in generator.node.publishers if p.topic_name.endswith("generated/image"))
    eventually(lambda: publisher.get_subscription_count() > 0, "a subscriber of the pictures")
    photo = Content(modality="vision", image=image(demo_picture()))
    status, result = generator.generate(
        terms=[text("a dog"), photo], weights=[1.0, 0.5], count=2, seed=4, steps=3
    )
    assert (status, result.success, result.message) == (GoalStatus.STATUS_SUCCEEDED, True, "")
    assert list(result.seeds) == [4, 5] and list(result.withheld) == [False, False]
    first, second = map(pixels, result.images)
    assert first.shape == (16, 16, 3) and (first != second).any()
    eventually(lambda: len(published) == 2, "the pictures on their topic")
    np.testing.assert_array_equal(pixels(published[0]), first)
    assert generator.feedback
    assert all(0 < f.step <= f.steps == 6 for f in generator.feedback)
    _, again = generator.generate(terms=[text("a dog"), photo], weights=[1.0, 0.5], seed=5, steps=3)
    np.testing.assert_array_equal(pixels(again.images[0]), second)
    # A strip, and words for what should not be seen.
    _, strip = generator.generate(
        terms=[text("a dog")], end_terms=[text("a cat")], negative="waves", count=3, seed=4, steps=2
    )
    assert strip.success and len(strip.images) == 3 and list(strip.seeds) == [4, 4, 4]


@pytest.mark.timeout(300)
def test_a_goal_can_be_cancelled_and_bad_goals_are_refused_by_name(generator):
    handle = generator.send(terms=[text("a dog")], count=64, steps=500)
    eventually(lambda: generator.feedback, "progress")
    cancelled = handle.cancel_goal_async()
    eventually(cancelled.done, "answer to the cancelling")
    status, result = generator.finish(handle)
    assert status == GoalStatus.STATUS_CANCELED
    assert not result.success and "cancelled after" in result.message and not result.images
    for goal, what in (
        ({}, "no terms"),
        ({"terms": [text("")]}, "empty"),
        ({"terms": [text("a dog")], "weights": [1.0, 2.0]}, "2 weights for 1 terms"),
        ({"terms": [text("a dog")], "weights": [float("nan")]}, "finite weight"),
        ({"terms": [text("a dog")], "steps": 2000}, "2000 steps"),
        ({"terms": [text("a dog")], "count": 200}, "1 to 64"),
        ({"terms": [Content(modality="smell")]}, "unknown modality 'smell'"),
    ):
        status, result = generator.generate(**goal)
        assert status == GoalStatus.STATUS_ABORTED
        assert not result.success and what in result.message, result.message
    # Deactivated in the middle of a goal, it ends that goal; then it says that it is not active.
    generator.feedback.clear()
    handle = generator.send(terms=[text("a dog")], count=64, steps=500)
    eventually(lambda: generator.feedback, "progress")
    generator.node.trigger_deactivate()
    status, result = generator.finish(handle)
    assert status == GoalStatus.STATUS_ABORTED and "deactivated" in result.message
    status, result = generator.generate(terms=[text("a dog")])
    assert status == GoalStatus.STATUS_ABORTED and "not active" in result.message
    generator.node.trigger_activate()
    assert generator.generate(terms=[text("a dog")], steps=1)[1].success
