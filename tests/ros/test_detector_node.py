"""The detector node over DDS: pinned and live queries, abstention, and refusal of other spaces."""

import numpy as np
import pytest
from graph import eventually
from imagebind_msgs.msg import Content, Embedding, Query
from imagebind_msgs.srv import SetQuery
from messages import demo_picture, demo_sound, image, new_stamp, picture, sound, text
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from imagebind_node.nodes import qos
from imagebind_node.nodes.conversions import embedding_message
from imagebind_node.nodes.detector import DetectorNode
from imagebind_node.samples import AudioSample, ImageSample

SCENE = demo_picture()


class Graph:
    """An active detector node, a camera that shows SCENE, and a client that sees the boxes."""

    def __init__(self, client, running):
        self.client = client
        self.node = running.make(
            DetectorNode, max_age=0.0, rate=0.0, min_score=0.0, cue_timeout=600.0, max_cues=1
        )
        self.encoder = self.node._encoder
        running.serve()
        self.seen = client.collect(Detection2DArray, "detections", qos.RESULT)
        self.queries = client.collect(Query, "detector/query", qos.STATE)
        eventually(lambda: client.node.count_publishers("detections") > 0)

    def set(self, *terms, **fields):
        request = SetQuery.Request(terms=list(terms), **fields)
        return self.client.call(SetQuery, "detector/set_query", request)

    def look(self):
        """Show the scene until its detections come."""
        message = image(SCENE)
        publisher = self.client.publisher(Image, "camera/image_raw", qos.SENSOR)

        def answer():
            publisher.publish(message)
            return next((d for d in self.seen if d.header == message.header), None)

        return eventually(answer, "detections")

    def hear(self, message):
        self.client.publisher(Embedding, "embedding/audio", qos.RESULT).publish(message)

    def live(self):
        """Follow the microphone, and wait until everything heard before is forgotten."""
        assert self.set(live=True).success
        self.parameter("cue_timeout", 0.05)
        eventually(lambda: not self.node._query.classes.matrix.labels, "abstention")
        self.parameter("cue_timeout", 600.0)

    def parameter(self, name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        (result,) = self.client.call(SetParameters, "detector/set_parameters", request).results
        assert result.successful, result.reason


@pytest.fixture(scope="module")
def graph(module_client, module_running):
    return Graph(module_client, module_running)


def best(array):
    return array.detections[0].results[0].hypothesis


def box(detection):
    centre, w, h = detection.bbox.center.position, detection.bbox.size_x, detection.bbox.size_y
    return centre.x - w / 2, centre.y - h / 2, centre.x + w / 2, centre.y + h / 2


def test_without_a_query_nothing_is_found_and_the_answer_is_empty(graph):
    graph.live()
    assert list(graph.look().detections) == []


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [
        ("text", "", "a dog"),
        ("text", "hound", "hound"),
        ("sound", "barker", "barker"),
        ("picture", "", "vision"),
    ],
)
def test_pinned_query_of_any_modality(graph, kind, label, expected):
    content = {
        "text": text("a dog"),
        "sound": sound(demo_sound("dog")[:32000]),
        "picture": picture(SCENE[100:300, 100:300]),
    }[kind]
    response = graph.set(content, label=label)
    assert response.success, response.message
    assert response.message == f"searching for {expected}"
    array = graph.look()
    assert array.detections
    height, width = SCENE.shape[:2]
    scores = [d.results[0].hypothesis.score for d in array.detections]
    for detection, score in zip(array.detections, scores):
        assert detection.header == array.header
        assert detection.results[0].hypothesis.class_id == expected
        assert 0.0 <= score <= 1.0
        x0, y0, x1, y1 = box(detection)
        assert -0.5 <= x0 < x1 <= width + 0.5
        assert -0.5 <= y0 < y1 <= height + 0.5


def test_boxes_are_those_that_the_library_finds(graph):
    assert graph.set(text("a dog"), label="dog").success
    array = graph.look()
    detector, classes = graph.node._detector, graph.node._detector.new_classes()
    classes.replace(["dog"], graph.encoder.encode("text", ["a dog"]))
    expected = detector.detect(ImageSample(SCENE), classes)
    got = np.array([box(detection) for detection in array.detections])
    np.testing.assert_allclose(got, expected.boxes, atol=0.1)


def test_weighted_sum_several_classes_and_removal_by_label(graph):
    response = graph.set(text("a dog"), sound(demo_sound("cow")[:32000]), weights=[1.0, 0.5], label="mix")
    assert response.success, response.message
    dog = graph.encoder.encode("text", ["a dog"])[0].vector
    moo = graph.encoder.encode("audio", [AudioSample(demo_sound("cow")[:32000], 16000)])[0].vector
    expected = dog + 0.5 * moo
    row = graph.node._query.classes.matrix.rows[0]
    np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-4)
    assert graph.set(text("a tree"), label="tree", add=True).success
    assert set(graph.node._query.classes.matrix.labels) == {"mix", "tree"}
    assert {d.results[0].hypothesis.class_id for d in graph.look().detections} <= {"mix", "tree"}
    assert graph.set(text("a cat"), label="cat").success
    eventually(
        lambda: {q.label: q.active for q in list(graph.queries)}.get("mix") is False, "the end of the class"
    )
    eventually(lambda: any(q.label == "cat" for q in list(graph.queries)), "the new class")
    last = {q.label: q for q in graph.queries}
    assert last["cat"].active
    assert last["cat"].source == Query.SOURCE_PINNED
    assert len(last["cat"].embedding.vector) == 384


def test_a_vector_is_taken_as_it_is(graph):
    cue = graph.encoder.encode("text", ["a cow"])[0]
    content = Content(modality="embedding", embedding=embedding_message(cue, ""))
    assert graph.set(content, label="cow").success
    assert graph.node._query.classes.matrix.rows[0] @ cue.vector == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (SetQuery.Request(), "no terms"),
        (SetQuery.Request(terms=[text("")]), "text is empty"),
        (SetQuery.Request(terms=[text("a dog")], weights=[1.0, 2.0]), "2 weights for 1 terms"),
        (SetQuery.Request(terms=[text("a dog")], weights=[0.0]), "all weights are 0"),
        (SetQuery.Request(terms=[text("a dog")], weights=[float("nan")]), "finite weight"),
        (SetQuery.Request(terms=[text("a dog"), text("a dog")], weights=[1.0, -1.0]), "cancel out"),
        (SetQuery.Request(terms=[sound(np.zeros(32000, np.float32))]), "too little evidence"),
        (SetQuery.Request(terms=[Content(modality="smell")]), "unknown modality 'smell'"),
        (
            SetQuery.Request(
                terms=[
                    Content(
                        modality="embedding",
                        embedding=Embedding(space="imagebind_huge", modality="audio", vector=[0.1] * 1024),
                    )
                ]
            ),
            "space 'imagebind_huge'",
        ),
    ],
)
def test_a_bad_query_is_refused_and_the_former_one_goes_on(graph, request_, complaint):
    assert graph.set(text("a dog"), label="before").success
    response = graph.client.call(SetQuery, "detector/set_query", request_)
    assert not response.success
    assert complaint in response.message
    assert "\n" not in response.message
    assert graph.node._query.classes.matrix.labels == ("before",)
    assert best(graph.look()).class_id == "before"


def cue_message(graph, words, **fields):
    message = embedding_message(graph.encoder.encode("text", [words])[0], "concept/fp32")
    message.modality, message.header = "audio", Header(stamp=new_stamp(), frame_id="ear")
    message.labels, message.label_scores = [words], [1.0]
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_live_cue_searches_the_frame_at_hand_again_and_silence_abstains(graph):
    graph.live()
    first = graph.look()
    assert not first.detections
    count = len(graph.seen)
    graph.hear(cue_message(graph, "a dog"))
    # No new frame is shown: the answer must come from the one already seen.
    eventually(lambda: any(d.detections for d in graph.seen[count:]), "boxes in the old frame")
    again = next(d for d in graph.seen[count:] if d.detections)
    assert again.header == first.header
    assert best(again).class_id == "a dog"
    # Silence is no new cue: the old one fades, and the boxes with it.
    loud = best(graph.look()).score
    graph.parameter("cue_half_life", 0.3)
    graph.hear(cue_message(graph, "a dog", abstained=True, confidence=0.1))
    eventually(lambda: best(graph.look()).score < 0.5 * loud, "fainter boxes")
    graph.parameter("cue_half_life", 600.0)
    count = len(graph.seen)
    graph.parameter("cue_timeout", 0.05)
    eventually(lambda: any(not d.detections for d in graph.seen[count:]), "an empty answer")
    graph.parameter("cue_timeout", 600.0)
    assert not graph.look().detections


def test_two_sounds_are_two_classes_and_the_last_comes_first(graph):
    graph.live()
    graph.parameter("max_cues", 2)
    for words in ("a church bell", "a dog", "a cow"):
        graph.hear(cue_message(graph, words))
    eventually(lambda: graph.node._query.classes.matrix.labels == ("a cow", "a dog"), "two cues")
    assert {d.results[0].hypothesis.class_id for d in graph.look().detections} == {"a cow", "a dog"}
    graph.parameter("max_cues", 1)


def test_things_keep_their_ids_from_frame_to_frame(graph):
    assert graph.set(text("a dog"), label="dog").success
    graph.look()
    first, second = ({d.id: box(d) for d in graph.look().detections} for _ in range(2))
    assert first
    assert "" not in first
    assert first == second


def test_boxes_get_places_where_there_is_depth(graph):
    """A wall 2 m away, seen by a camera of 500 pixels focal length."""
    assert graph.set(text("a dog"), label="dog").success
    places = graph.client.collect(Detection3DArray, "detections_3d", qos.RESULT)
    height, width = SCENE.shape[:2]
    intrinsics = CameraInfo(width=width, height=height)
    intrinsics.k = [500.0, 0.0, width / 2, 0.0, 500.0, height / 2, 0.0, 0.0, 1.0]
    info = graph.client.publisher(CameraInfo, "camera/camera_info", qos.SENSOR)
    depth = graph.client.publisher(Image, "depth/image_raw", qos.SENSOR)
    wall = np.full((height, width), 2000, np.uint16)

    def placed():
        info.publish(intrinsics)
        depth.publish(image(wall, "16UC1"))
        flat = graph.look()
        return next(((flat, p) for p in places if p.header == flat.header and p.detections), None)

    flat, solid = eventually(placed, "places")
    assert len(solid.detections) == len(flat.detections)
    for two, three in zip(flat.detections, solid.detections):
        assert three.id == two.id
        assert three.results[0].hypothesis == two.results[0].hypothesis
        position = three.bbox.center.position
        assert position.z == pytest.approx(2.0, abs=0.01)
        expected = (two.bbox.center.position.x - width / 2) / 500.0 * 2.0
        assert position.x == pytest.approx(expected, abs=0.01)
        assert three.results[0].pose.covariance[0] > 0
    # A depth picture of another camera is said to be one; boxes in the picture go on.
    before = graph.node.errors.counts["frames"]
    depth.publish(image(wall[:, :100], "16UC1"))
    assert graph.look().detections
    eventually(lambda: graph.node.errors.counts["frames"] > before, "an error")
    assert "align depth" in graph.node.errors.last["frames"]


def test_live_cue_of_another_space_is_refused_by_name(graph):
    graph.live()
    graph.hear(cue_message(graph, "a dog"))
    eventually(lambda: graph.node._query.classes.matrix.labels == ("a dog",), "the cue")
    before = graph.node.errors.counts["embedding/audio"]
    graph.hear(cue_message(graph, "a cow", space="imagebind_huge"))
    eventually(lambda: graph.node.errors.counts["embedding/audio"] > before, "an error")
    assert "'imagebind_huge'" in graph.node.errors.last["embedding/audio"]
    assert best(graph.look()).class_id == "a dog"


def test_pinned_query_ignores_the_live_cue(graph):
    assert graph.set(text("a dog"), label="pinned").success
    graph.hear(cue_message(graph, "a cow"))
    assert best(graph.look()).class_id == "pinned"


def test_an_old_cue_is_forgotten(client, running):
    node = running.make(
        DetectorNode, max_age=0.0, min_score=0.0, cue_timeout=1.0, modalities=["vision", "text"]
    )
    running.serve()
    queries = client.collect(Query, "detector/query", qos.STATE)
    publisher = client.publisher(Embedding, "embedding/audio", qos.RESULT)
    message = embedding_message(node._encoder.encode("text", ["a dog"])[0], "")
    message.labels, message.label_scores = ["dog"], [1.0]

    def heard():
        message.header.stamp = new_stamp()
        publisher.publish(message)
        return any(q.label == "dog" and q.active for q in queries)

    eventually(heard, "the cue")
    eventually(lambda: queries[-1].label == "dog" and not queries[-1].active, "the cue's end")
    assert node._query.classes.matrix.labels == ()


def test_pictures_are_published_only_while_somebody_looks(graph):
    assert graph.set(text("a dog"), label="dog").success
    heat = graph.client.collect(Image, "detections/heatmap", qos.SENSOR)
    drawn = graph.client.collect(Image, "detections/image", qos.SENSOR)
    output = graph.node._output
    eventually(lambda: output._image.get_subscription_count() and output._heatmap.get_subscription_count())

    def shown():
        graph.look()
        return heat and drawn

    eventually(shown, "pictures")
    assert (drawn[-1].encoding, drawn[-1].width, drawn[-1].height) == ("rgb8", SCENE.shape[1], SCENE.shape[0])
    assert np.any(np.frombuffer(drawn[-1].data, np.uint8) != SCENE.ravel())
    assert (heat[-1].encoding, heat[-1].width, heat[-1].height) == ("32FC1", SCENE.shape[1], SCENE.shape[0])
    values = np.frombuffer(heat[-1].data, np.float32)
    assert np.isfinite(values).all()
    assert values.std() > 0
