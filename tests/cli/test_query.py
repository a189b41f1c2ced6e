"""The grammar of queries. The files are read, nothing is encoded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.query import parse_query, read_embedding
from imagebind_node.samples import Modality


def terms(text: str) -> list[tuple[str, float]]:
    return [(term.source, term.weight) for term in parse_query(text).terms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text:dog", [("text:dog", 1.0)]),
        ("text:dog + text:cat", [("text:dog", 1.0), ("text:cat", 1.0)]),
        ("text:dog - text:cat", [("text:dog", 1.0), ("text:cat", -1.0)]),
        ("- text:dog + text:cat", [("text:dog", -1.0), ("text:cat", 1.0)]),
        ("0.5 * text:dog + 2*text:cat", [("text:dog", 0.5), ("text:cat", 2.0)]),
        ("text:dog - .25 * text:cat", [("text:dog", 1.0), ("text:cat", -0.25)]),
        ("text:well-known dog", [("text:well-known dog", 1.0)]),
        ('text:"rock + roll" + text:dog', [("text:rock + roll", 1.0), ("text:dog", 1.0)]),
        ("text:dog's bone + text:cat's toy", [("text:dog's bone", 1.0), ("text:cat's toy", 1.0)]),
    ],
)
def test_grammar(text, expected):
    assert terms(text) == expected


def test_terms_know_their_modality(dog_photo, bark):
    query = parse_query(f'image:{dog_photo} + {bark} - text:"a cat"')
    assert [term.modality for term in query.terms] == [Modality.VISION, Modality.AUDIO, Modality.TEXT]
    assert query.modalities == {Modality.VISION, Modality.AUDIO, Modality.TEXT}
    assert query.label == "dog + dog - a cat"


def test_a_file_whose_name_holds_a_sum_is_one_term(tmp_path, dog_photo):
    odd = dog_photo.rename(tmp_path / "a + b - c.jpg")
    assert len(parse_query(str(odd)).terms) == 1
    assert parse_query(f'image:"{odd}" + text:dog').terms[0].source == f"image:{odd}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("text:dog + ", "empty"),
        ("text:dog + + text:cat", "empty term"),
        ("0 * text:dog", "every weight is 0"),
        ('text:"dog', "not closed"),
        ("dog", "text:dog"),
        ("nowhere.wav", "not a file"),
        (" + ".join(["text:dog"] * 33), "at most 32"),
        ("1e999 * text:dog", "too large"),
    ],
)
def test_bad_grammar_is_refused_with_the_reason(text, reason):
    with pytest.raises(InvalidInputError, match=reason):
        parse_query(text)


def saved(tmp_path, **changes):
    entry = {
        "modality": "text",
        "space": "elsewhere",
        "dim": 3,
        "window": 0.0,
        "confidence": 1.0,
        "abstained": False,
        "vector": [1.0, 0.0, 0.0],
        **changes,
    }
    path = tmp_path / "saved.json"
    path.write_text(json.dumps({"embeddings": [entry]}))
    return path


def test_a_saved_embedding_keeps_its_space(tmp_path):
    embedding = read_embedding(saved(tmp_path))
    assert embedding.space == Space("elsewhere", 3)
    assert np.array_equal(embedding.vector, [1, 0, 0])
    query = parse_query(f"embedding:{tmp_path / 'saved.json'} + text:dog")
    assert query.modalities == {Modality.TEXT}


def test_a_saved_embedding_of_another_space_is_refused_by_name(tmp_path):
    class Encoder:
        space = Space("here", 3)

    with pytest.raises(SpaceMismatchError, match=r"'here'.*'elsewhere'"):
        parse_query(f"embedding:{saved(tmp_path)}").embed(Encoder())


@pytest.mark.parametrize(
    "changes", [{"vector": [1.0]}, {"modality": "smell"}, {"vector": "x"}, {"dim": None}]
)
def test_a_damaged_saved_embedding_is_refused(tmp_path, changes):
    with pytest.raises(InvalidInputError, match="saved.json"):
        read_embedding(saved(tmp_path, **changes))


def test_other_json_is_no_embedding(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("[]")
    with pytest.raises(InvalidInputError, match="embed INPUT --json"):
        read_embedding(path)


def test_a_folder_and_a_memory_tell_what_each_term_contributed(cli, tmp_path, dog_photo, bark):
    query = f'image:{dog_photo} + audio:{bark} - 0.5 * text:"a cat"'
    memory = tmp_path / "memory"
    assert cli("index", bark, "--memory", memory).status == 0
    for among in (bark.parent, memory):
        command = ("retrieve", query, "--among", among, "--modality", "audio", "--top", "1")
        document = cli(*command, "--json").document
        assert [term["weight"] for term in document["query"]["terms"]] == [1.0, 1.0, -0.5]
        (best,) = document["results"]
        assert len(best["contributions"]) == 3
        assert sum(best["contributions"]) == pytest.approx(best["cosine"], abs=1e-4)
        table = cli(*command).out
        assert "of each term" in table
        shown = [f"{abs(share):.3f}" for share in best["contributions"]]
        assert all(share in table for share in shown)
    assert "of each term" not in cli("retrieve", str(bark), "--among", memory).out
