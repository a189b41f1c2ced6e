"""The swap in OWL-ViT and OWLv2, proven against the library's own text path on random small models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagebind_node.detection.registry import load_detector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, ModelFileError, SpaceMismatchError
from imagebind_node.samples import ImageSample, Modality
from tests.detection.owl_models import write_detector

TEXTS = ["a barking dog", "church bells", "a photo of a red tractor", "sea"]


@pytest.fixture(scope="module", params=["owlvit", "owlv2"])
def folder(request, tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def detector(folder):
    return load_detector("owlvit", checkpoint=folder)


def picture(height: int = 120, width: int = 160) -> ImageSample:
    rng = np.random.default_rng(0)
    return ImageSample(rng.integers(0, 255, (height, width, 3), np.uint8))


def library_outputs(detector, sample, texts):
    """What the library computes from the texts themselves, end to end."""
    tokens = detector._tokenizer(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    with torch.inference_mode():
        return detector.model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=detector.preprocess(sample),
        )


def test_text_queries_through_our_path_give_the_librarys_logits(detector):
    sample = picture()
    expected = library_outputs(detector, sample, TEXTS).logits[0]
    classes = detector.new_classes()
    classes.replace(TEXTS, detector.encode(TEXTS))
    ours = detector.logits(detector.preprocess(sample), classes.matrix.rows)
    assert expected.std() > 0.05, "a constant model would prove nothing"
    assert (expected - ours).abs().max() < 1e-5


def test_detections_are_the_librarys_post_processed_boxes(detector):
    """Scores and boxes in pixels, before suppression, against the library's own post-processing."""
    sample = picture()
    outputs = library_outputs(detector, sample, TEXTS)
    theirs = detector._processor.post_process_object_detection(
        outputs, threshold=0.0, target_sizes=[sample.data.shape[:2]]
    )[0]
    classes = detector.new_classes()
    classes.replace(TEXTS, detector.encode(TEXTS))
    found = detector.detect(sample, classes, max_detections=10_000, nms_iou=1.01)
    height, width = sample.data.shape[:2]
    boxes = theirs["boxes"].numpy()
    boxes = np.clip(boxes, 0, (width, height, width, height))
    good = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1)
    order = np.argsort(-theirs["scores"].numpy()[good])
    np.testing.assert_allclose(found.scores, theirs["scores"].numpy()[good][order], atol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes[good][order], atol=1e-2)
    assert list(found.labels) == [TEXTS[i] for i in theirs["labels"].numpy()[good][order]]


def test_a_new_query_takes_effect_without_another_vision_pass(detector):
    regions = detector.regions(picture())
    classes = detector.new_classes()
    classes.replace(["a"], detector.encode(["a barking dog"]))
    first = classes.detect(regions)
    classes.replace(["b"], detector.encode(["church bells"]))
    second = classes.detect(regions)
    assert set(first.labels) == {"a"}
    assert set(second.labels) == {"b"}
    assert not np.allclose(first.scores[:3], second.scores[:3])


def test_boxes_stay_in_the_picture(detector):
    for shape in ((120, 160), (160, 120), (64, 64)):
        boxes = detector.regions(picture(*shape)).boxes
        assert len(boxes) > 5
        assert boxes.min() >= 0
        assert boxes[:, [0, 2]].max() <= shape[1]
        assert boxes[:, [1, 3]].max() <= shape[0]


def test_other_spaces_are_refused_even_of_equal_width(detector):
    stranger = Embedding(np.eye(32)[0], Modality.AUDIO, Space("concept-like", 32))
    with pytest.raises(SpaceMismatchError):
        detector.new_classes().replace(["x"], [stranger])


def test_two_checkpoints_are_two_spaces(tmp_path):
    spaces = {
        load_detector("owlvit", checkpoint=write_detector(tmp_path / str(s), "owlvit", s)).space
        for s in (0, 1)
    }
    assert len(spaces) == 2


def test_missing_and_foreign_checkpoints_say_so(tmp_path):
    with pytest.raises(ModelFileError, match="needs checkpoint"):
        load_detector("owlvit")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelFileError, match="'bert'"):
        load_detector("owlvit", checkpoint=tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "owlvit"}')
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load_detector("owlvit", checkpoint=tmp_path)


def test_pickled_weights_are_not_loaded(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load_detector("owlvit", checkpoint=tmp_path)


def test_unknown_options_and_detectors_are_refused(folder):
    with pytest.raises(InvalidInputError, match="colour"):
        load_detector("owlvit", checkpoint=folder, colour="red")
    with pytest.raises(InvalidInputError, match="concept, crops, dense, owlvit"):
        load_detector("yolo")
