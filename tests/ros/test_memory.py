"""Memory and recognizer nodes over real DDS, with the real embedded model."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import messages
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from graph import eventually
from imagebind_msgs.msg import Content, Embedding, Labels
from imagebind_msgs.srv import Describe, Forget, Search
from sensor_msgs.msg import Image

from imagebind_node.nodes import qos
from imagebind_node.nodes.memory import MemoryNode
from imagebind_node.nodes.recognizer import RecognizerNode

RAPID = 0.01


@pytest.fixture(scope="module")
def model():
    from imagebind_node.encoders.base import load_encoder

    return load_encoder("concept", modalities=["audio", "text"])


@pytest.fixture(scope="module")
def memory_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture(scope="module")
def graph(module_running, module_client, memory_folder):
    module_running.make(
        MemoryNode,
        directory=str(memory_folder),
        modalities=["text", "audio"],
        robot="rover",
        novelty=0.999,
        threads=1,
    )
    module_running.make(RecognizerNode, recognized=["audio"], rate=0.0, threads=1)
    module_running.serve()
    return module_client


def heard(model, name: str, seconds: int) -> Embedding:
    """The embedding of a demo sound as the encoder node would publish it."""
    from imagebind_node.nodes.conversions import embedding_message

    found = model.encode("audio", [str(messages.DEMO / f"{name}.flac")])[0]
    message = embedding_message(found, "concept/fp32")
    message.header.stamp = Time(sec=1_700_000_000 + seconds)
    message.header.frame_id = "microphone"
    return message


def words(text: str) -> Content:
    return Content(modality="text", text=text)


@pytest.fixture(scope="module")
def filled(graph, model):
    """A dog at 10 s, a cow at 20 s, with a picture and a pose; and a repetition that is no news."""
    labels = graph.collect(Labels, "labels/audio", qos.RESULT)
    picture = messages.image(np.full((48, 64, 3), 200, np.uint8))
    picture.header.stamp = Time(sec=1_700_000_010)
    pose = PoseStamped()
    pose.header.stamp, pose.header.frame_id = Time(sec=1_700_000_010), "map"
    pose.pose.position.x, pose.pose.orientation.w = 4.0, 1.0
    camera = graph.publisher(Image, "camera/image_raw", qos.SENSOR)
    place = graph.publisher(PoseStamped, "pose", qos.RESULT)
    audio = graph.publisher(Embedding, "embedding/audio", qos.RESULT)
    eventually(lambda: audio.get_subscription_count() == 2, "memory and recognizer listen")
    for _ in range(5):
        camera.publish(picture)
        place.publish(pose)
        time.sleep(0.1)
    for message in (heard(model, "dog", 10), heard(model, "dog", 11), heard(model, "cow", 20)):
        audio.publish(message)
        time.sleep(0.05)
    eventually(lambda: len(search(graph, words("animal")).results) >= 2, "two memories")
    return labels


def search(client, *terms: Content, **fields) -> Search.Response:
    return client.call(Search, "memory/search", Search.Request(terms=list(terms), **fields))


def test_words_find_when_and_where_something_was_heard(graph, filled) -> None:
    answer = search(graph, words("dog"), thumbnails=True)
    assert answer.success
    assert len(answer.results) == 2, "the repeated dog is no news"
    best = answer.results[0]
    assert best.header.stamp.sec == 1_700_000_010
    assert best.header.frame_id == "microphone"
    assert (best.modality, best.robot, best.source) == ("audio", "rover", "embedding/audio")
    assert best.labels
    assert best.window == pytest.approx(0.975)
    assert best.media == f"media/{best.id[:2]}/{best.id}.jpg"
    assert best.pose.header.frame_id == "map"
    assert best.pose.pose.position.x == 4.0
    assert bytes(best.thumbnail.data)[:3] == b"\xff\xd8\xff"
    assert answer.results[1].pose.header.frame_id == "", "the pose was too old for the cow"
    assert sum(best.contributions) == pytest.approx(best.score, abs=1e-4)


def test_sums_differences_vectors_and_filters(graph, filled, model) -> None:
    vector = Content(modality="embedding", embedding=heard(model, "dog", 0))
    assert search(graph, vector).results[0].score == pytest.approx(1.0, abs=1e-3)
    turned = search(graph, words("cow"), words("dog"), weights=[0.1, -1.0])
    assert turned.results[0].header.stamp.sec == 1_700_000_020
    assert len(turned.results[0].contributions) == 2
    round_trip = search(graph, words("cow"), words("dog"), weights=[1.0, 0.5], spherical=True)
    assert round_trip.success
    last = search(graph, words("dog"), newest_first=True, min_score=-1.0)
    assert [result.header.stamp.sec for result in last.results] == [1_700_000_020, 1_700_000_010]
    assert [r.header.stamp.sec for r in search(graph, words("dog"), newest_first=True).results] == [
        1_700_000_010
    ], "the cow does not sound like a dog"
    assert search(graph, words("dog"), min_score=0.999).results == []
    request = Search.Request(terms=[words("dog")])
    request.filter.since = Time(sec=1_700_000_015)
    only = graph.call(Search, "memory/search", request)
    assert [result.header.stamp.sec for result in only.results] == [1_700_000_020]
    request = Search.Request(terms=[words("dog")])
    request.filter.place.x, request.filter.place_radius = 4.5, 1.0
    near = graph.call(Search, "memory/search", request)
    assert [result.header.stamp.sec for result in near.results] == [1_700_000_010]
    request.filter.frame_ids = ["camera"]
    assert graph.call(Search, "memory/search", request).results == []


def test_describe_says_what_it_was(graph, filled) -> None:
    cow = search(graph, words("cow"), limit=1).results[0]
    answer = graph.call(
        Describe, "memory/describe", Describe.Request(id=cow.id, vocabulary=["dog", "cow", "train", "rain"])
    )
    assert answer.success
    assert answer.texts[0] == "cow"
    assert list(answer.scores) == sorted(answer.scores, reverse=True)
    own = graph.call(Describe, "memory/describe", Describe.Request(content=words("barking dog"), limit=3))
    assert own.success
    assert any("dog" in text.lower() or "bark" in text.lower() for text in own.texts)


def test_searches_go_on_while_a_vocabulary_of_the_users_is_embedded(running, client, tmp_path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\n".join(f"thing number {i}" for i in range(300)) + "\nbreaking glass\n")
    settings = {"directory": str(tmp_path), "modalities": ["text"], "vocabulary": str(path), "threads": 1}
    node = running.make(MemoryNode, **settings)
    running.serve()
    kept = tmp_path / "concept-1" / "vocabulary.npz"
    assert search(client, words("dog")).success
    assert not kept.exists(), "embedded a few texts at a time"
    request = Describe.Request(content=words("glass that breaks"), limit=1)
    answer = client.call(Describe, "memory/describe", request)
    assert (answer.success, answer.texts) == (True, ["breaking glass"]), answer.message
    written = kept.stat().st_mtime_ns
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_configure()
    node.trigger_activate()
    assert client.call(Describe, "memory/describe", request).texts == ["breaking glass"]
    assert kept.stat().st_mtime_ns == written, "kept from the first time"


def test_a_vocabulary_that_cannot_be_read_is_told_on_start(running, tmp_path) -> None:
    node = running.make(
        MemoryNode, start=False, directory=str(tmp_path), modalities=["text"], vocabulary="none.txt"
    )
    assert not node.autostart()
    assert "none.txt" in str(node.start_error)


@pytest.mark.parametrize(
    ("kind", "name", "request_", "message"),
    [
        (Search, "search", Search.Request(), "at least one term"),
        (Search, "search", Search.Request(terms=[words(" ")]), "text is empty"),
        (Search, "search", Search.Request(terms=[words("dog")], weights=[1.0, 2.0]), "one finite weight"),
        (Search, "search", Search.Request(terms=[words("dog")], limit=1_000_000), "number of results"),
        (Search, "search", Search.Request(terms=[Content(modality="smell")]), "unknown modality"),
        (Search, "search", Search.Request(terms=[Content(modality="vision")]), "no vision tower"),
        (Forget, "forget", Forget.Request(), "filter is empty"),
        (Describe, "describe", Describe.Request(id="00000000-0000-0000-0000-000000000000"), "no memory"),
    ],
)
def test_bad_requests_are_answered_and_the_node_lives_on(
    graph, filled, kind, name, request_, message
) -> None:
    answer = graph.call(kind, f"memory/{name}", request_)
    assert not answer.success
    assert message in answer.message
    assert search(graph, words("dog")).success


def test_a_vector_of_another_space_is_refused_by_name(graph, filled) -> None:
    stranger = Embedding(space="imagebind_huge", modality="audio", vector=[1.0] + [0.0] * 1023)
    answer = search(graph, Content(modality="embedding", embedding=stranger))
    assert not answer.success
    assert "imagebind_huge" in answer.message


def test_recognizer_names_what_it_hears(graph, filled) -> None:
    eventually(lambda: len(filled) >= 3, "labels")
    first = filled[0]
    assert first.header.stamp.sec == 1_700_000_010
    assert first.labels[0] == "dog"
    assert first.class_set == "home"
    assert list(first.probabilities) == sorted(first.probabilities, reverse=True)


def test_forgetting_is_for_good_and_survives_a_restart(graph, filled, module_running, memory_folder) -> None:
    dog = search(graph, words("dog"), limit=1).results[0]
    assert list((memory_folder / "concept").rglob("*.jpg")) or list(memory_folder.rglob("*.jpg"))
    answer = graph.call(Forget, "memory/forget", Forget.Request(ids=[dog.id]))
    assert (answer.success, answer.forgotten) == (True, 1)
    assert [r.header.stamp.sec for r in search(graph, words("dog")).results] == [1_700_000_020]
    assert not [path for path in memory_folder.rglob("*.jpg") if dog.id in path.name]
    node = module_running.nodes[0]
    node.trigger_deactivate()
    assert not search(graph, words("dog")).success
    node.trigger_cleanup()
    node.trigger_configure()
    node.trigger_activate()
    assert [r.header.stamp.sec for r in search(graph, words("dog")).results] == [1_700_000_020]


def test_the_entry_point_starts_and_ends_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "imagebind_node.nodes.memory",
            "--ros-args",
            "-p",
            f"directory:={tmp_path}",
            "-p",
            "modalities:=['text']",
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    eventually(lambda: list(tmp_path.glob("*/memory.json")), "an open memory")
    time.sleep(0.5)
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
