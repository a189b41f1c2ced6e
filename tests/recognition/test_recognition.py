"""Zero-shot, few-shot, calibration and description, on a space whose geometry is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.recognition import (
    UNKNOWN,
    ClassMeans,
    ClassSet,
    LinearProbe,
    Vocabulary,
    ZeroShotClassifier,
    read_class_set,
)
from imagebind_node.recognition.calibration import (
    expected_calibration_error,
    fit_temperature,
    fit_unknown,
    softmax,
)
from imagebind_node.recognition.class_set import from_labels
from imagebind_node.recognition.few_shot import load_few_shot
from imagebind_node.recognition.vocabulary import GrowingVocabulary
from imagebind_node.samples import Modality

SPACE = Space("words", 64)


def direction(word: str) -> np.ndarray:
    vector = np.random.default_rng(sum(map(ord, word))).standard_normal(SPACE.dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def encode_text(sentences: list[str]) -> np.ndarray:
    """A bag of words: the sum of the directions of the words, as a real text tower roughly is."""
    rows = np.stack([sum(direction(w.strip(".")) for w in s.lower().split()) for s in sentences])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def embedding(
    *words: str, noise: float = 0.0, seed: int = 0, modality: Modality = Modality.AUDIO
) -> Embedding:
    rng = np.random.default_rng(seed)
    return Embedding(
        sum(direction(w) for w in words) + noise * rng.standard_normal(SPACE.dim).astype(np.float32),
        modality,
        SPACE,
    )


def test_the_named_class_wins_and_probabilities_sum_to_one() -> None:
    classifier = ZeroShotClassifier(from_labels(["dog", "train", "rain"]), SPACE, encode_text)
    for label in ("dog", "train", "rain"):
        found = classifier.recognise(embedding(label), top=3)
        assert found.labels[0] == label
        assert not found.abstained
        assert sum(found.probabilities) == pytest.approx(1.0)
        assert list(found.probabilities) == sorted(found.probabilities, reverse=True)
    assert len(classifier.recognise(embedding("dog"), top=2).labels) == 2


def test_synonyms_and_templates_of_the_modality_are_averaged() -> None:
    classes = ClassSet(
        "s", {"pet": ("dog", "cat"), "other": ("train",)}, templates={Modality.AUDIO: ("sound of {}", "{}")}
    )
    classifier = ZeroShotClassifier(classes, SPACE, encode_text)
    expected = encode_text(["sound of dog", "dog", "sound of cat", "cat"]).mean(0)
    np.testing.assert_allclose(
        classifier.rows(Modality.AUDIO)[0], expected / np.linalg.norm(expected), atol=1e-6
    )
    assert not np.allclose(classifier.rows(Modality.AUDIO)[0], classifier.rows(Modality.VISION)[0])
    assert classifier.recognise(embedding("cat")).labels[0] == "pet"


def test_what_resembles_no_class_is_unknown() -> None:
    classes = ClassSet("s", {"dog": ("dog",), "train": ("train",)}, unknown_cosine=0.4)
    classifier = ZeroShotClassifier(classes, SPACE, encode_text)
    stranger = classifier.recognise(embedding("volcano"))
    assert stranger.labels[0] == UNKNOWN
    assert stranger.abstained
    assert classifier.recognise(embedding("dog")).labels[0] == "dog"
    silent = Embedding(np.zeros(0, np.float32), Modality.AUDIO, SPACE, abstained=True)
    assert classifier.recognise(silent).labels == ()
    with pytest.raises(SpaceMismatchError):
        classifier.recognise(Embedding(np.ones(3, np.float32), Modality.AUDIO, Space("other", 3)))


def test_temperature_is_found_and_calibrates() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.2, 0.4, (4000, 5))
    true = 0.08
    labels = np.array([rng.choice(5, p=p) for p in softmax(cosines / true)])
    assert fit_temperature(cosines, labels) == pytest.approx(true, rel=0.1)
    good = expected_calibration_error(softmax(cosines / true), labels)
    assert good < 0.03
    assert expected_calibration_error(softmax(cosines / 0.005), labels) > 0.2
    assert fit_unknown(np.array([0.5, 0.6, 0.7]), np.array([0.1, 0.2])) == pytest.approx(0.35)


@pytest.mark.parametrize("kind", [ClassMeans, LinearProbe])
def test_few_shot_learns_from_examples_and_survives_saving(kind: type, tmp_path: Path) -> None:
    words = ("dog", "train", "rain")
    examples = [embedding(w, noise=0.05, seed=i) for i, w in enumerate(words * 8)]
    tests = [
        embedding(w, noise=0.05, seed=100 + i, modality=Modality.VISION) for i, w in enumerate(words * 20)
    ]
    model = kind.fit(examples, list(words * 8))
    assert np.mean([a == b for a, b in zip(model.predict(tests), words * 20)]) > 0.9
    np.testing.assert_allclose(model.probabilities(tests).sum(1), 1.0)
    model.save(tmp_path / "model.npz")
    again = load_few_shot(tmp_path / "model.npz")
    np.testing.assert_allclose(again.probabilities(tests), model.probabilities(tests))
    two = kind.fit(examples[:2] * 4, ["dog", "train"] * 4)
    assert two.predict([embedding("dog"), embedding("train")]) == ["dog", "train"]
    with pytest.raises(InvalidInputError, match="at least 2 classes"):
        kind.fit(examples[:1], ["dog"])
    (tmp_path / "junk.npz").write_bytes(b"junk")
    with pytest.raises(InvalidInputError, match="not a readable few-shot classifier"):
        load_few_shot(tmp_path / "junk.npz")


def test_description_is_the_nearest_text() -> None:
    vocabulary = Vocabulary.encode(["breaking glass", "dog", "rain", "dog", " "], SPACE, encode_text)
    assert vocabulary.texts == ("breaking glass", "dog", "rain")
    best = vocabulary.describe(embedding("glass"), top=2)
    assert best[0][0] == "breaking glass"
    assert best[0][1] > best[1][1]


def test_a_vocabulary_grows_in_pieces_and_is_kept(tmp_path: Path) -> None:
    texts = [f"thing {i}" for i in range(20)]
    sizes: list[int] = []

    def counting(sentences: list[str]) -> np.ndarray:
        sizes.append(len(sentences))
        return encode_text(sentences)

    growing = GrowingVocabulary(texts, SPACE, counting)
    grown = [growing.grow(), growing.grow(), growing.grow()]
    assert grown[:2] == [None, None]
    assert sizes == [8, 8, 4]
    path = tmp_path / "folder" / "vocabulary.npz"
    assert Vocabulary.load(path, texts, SPACE) is None
    grown[2].save(path)
    kept = Vocabulary.load(path, texts, SPACE)
    for vocabulary in (grown[2], kept):
        assert vocabulary.texts == tuple(texts)
        assert vocabulary.nearest(encode_text(["thing 17"])[0], 1)[0] == (
            "thing 17",
            pytest.approx(1.0, abs=1e-3),
        )
    assert Vocabulary.load(path, texts[1:], SPACE) is None, "other texts"
    assert Vocabulary.load(path, texts, Space("other", SPACE.dim)) is None
    assert Vocabulary.load(path, texts, Space(SPACE.id, 32)) is None


def test_the_vocabulary_that_comes_with_the_model_is_of_its_text_tower() -> None:
    """After a change of the text tower or the class names: python models/concept/convert.py --tables."""
    from imagebind_node.bridge.captions import class_names
    from imagebind_node.encoders.base import load_encoder
    from imagebind_node.encoders.concept.weights import model_dir, verified
    from imagebind_node.recognition.zero_shot import text_encoder

    names = class_names(model_dir("concept"))
    encoder = load_encoder("concept", modalities=["text"])
    shipped = Vocabulary.load(verified(model_dir("concept"), "vocabulary.npz"), names, encoder.space)
    assert shipped is not None
    some = names[::100]
    for name, row in zip(some, text_encoder(encoder)(some)):
        assert shipped.nearest(row, 1) == [(name, pytest.approx(1.0, abs=1e-3))]


def test_class_set_files(tmp_path: Path) -> None:
    for path in (Path(__file__).parents[2] / "config" / "class_sets").glob("*.yaml"):
        assert len(read_class_set(path).labels) >= 2
    path = tmp_path / "set.yaml"
    path.write_text("classes: [dog, cat]\ntemplates: {audio: 'sound of {}'}\nunknown_cosine: 0.2\n")
    found = read_class_set(path)
    assert found.labels == ("dog", "cat")
    assert found.prompts("dog", Modality.AUDIO) == ["sound of dog"]
    assert found.unknown_cosine == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [", "not a readable class set"),
        ("- dog", "key 'classes'"),
        ("classes: []", "0 classes"),
        ("classes: [dog]\ncolour: red", "unknown key 'colour'"),
        ("classes: [dog]\ntemplates: {audio: 'no place'}", "once"),
        ("classes: [dog]\ntemplates: {smell: '{}'}", "unknown modality"),
        ("classes: [dog]\ntemperature: hot", "must be a number"),
        ("classes: [dog]\ntemperature: -1", "above 0"),
        ("classes: {dog: ['']}", "empty name"),
    ],
)
def test_bad_class_sets_name_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "set.yaml").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_class_set(tmp_path / "set.yaml")


def test_missing_class_set_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no such file"):
        read_class_set(tmp_path / "none.yaml")
