"""Tokens are those of CLIP's own tokenizer."""

from __future__ import annotations

import gzip
import itertools
import json
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.errors import InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.preprocessing.text import (
    ClipTokenizer,
    check_text,
    clean,
    default_tokenizer,
    preprocess_text,
    tokenize,
    vocabulary_file,
)
from imagebind_node.samples import TextSample

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "data" / "preprocessing" / "tokens.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_golden_tokens(case):
    output = tokenize(case["text"])
    assert output.dtype == torch.int64
    assert output.tolist() == case["tokens"]


# Tokens of the original tokenizer, recorded by running it.
RECORDED = {
    "it\u2019s": [585, 568],
    "<|startoftext|>a": [49406, 320],
    "!<|endoftext|>": [0, 27, 347, 40786, 4160, 91, 285],
    "&amp;amp;lt;": [283],
    "a\u0345b": [320, 321],
    "'\u017f": [6, 129, 379],
    "\u02bcn x\u00b2 \u2167": [262, 333, 343, 41175, 158, 227, 371],
    "a&amp;b \u00c3\u00a9": [320, 261, 321, 4166],
    "aaaaaaaaaaa": [23126, 9583],
    "don't they'LL we've": [847, 713, 889, 1342, 649, 1200],
    "\U0001f469\u200d\U0001f4bb code": [26304, 18135, 3217],
    "\ufb01ne \uff76 \u0130stanbul": [3797, 3909, 360, 328, 16384, 11231],
}


@pytest.mark.parametrize("text", RECORDED, ids=ascii)
def test_recorded_tokens(text):
    assert default_tokenizer().encode(text) == RECORDED[text]


@pytest.mark.parametrize(
    "text", ["a dog", "A  DOG ", "\ta\ndog", "&#97; dog", "a\u3000dog", "\x1b[31ma dog\x1b[0m"]
)
def test_cleaning(text):
    assert clean(text) == "a dog"


def test_cleaning_repairs_encodings_and_typography():
    assert clean("caf\u00c3\u00a9") == "caf\u00e9"
    assert clean("\u201cit\u2019s\u201d \ufb01ne") == '"it\'s" fine'
    assert clean("&amp;lt;") == "<"


def test_long_texts_are_cut_and_end_with_the_mark():
    output = tokenize("dog " * 500).tolist()
    assert output == [49406, *[1929] * 75, 49407]


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_tokenised_within_the_vocabulary(text):
    try:
        output = tokenize(text)
    except InvalidInputError as error:
        message = str(error)
    else:
        assert output.shape == (77,)
        assert output[0] == 49406
        assert (output == 49407).any()
        assert 0 <= int(output.min()) <= int(output.max()) <= 49407
        return
    assert "surrogate" in message


def _slow_bpe(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte pair encoding by the book (Sennrich et al. 2016): again and again the best pair, everywhere at once."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while len(parts) > 1:
        pair = min(itertools.pairwise(parts), key=lambda p: ranks.get(p, len(ranks)))
        if pair not in ranks:
            break
        merged, i = [], 0
        while i < len(parts):
            if tuple(parts[i : i + 2]) == pair:
                merged.append(parts[i] + parts[i + 1])
                i += 2
            else:
                merged.append(parts[i])
                i += 1
        parts = merged
    return parts


@pytest.fixture(scope="module")
def merges() -> list[tuple[str, ...]]:
    lines = gzip.decompress(vocabulary_file().read_bytes()).decode("utf-8").split("\n")[1:48895]
    return [tuple(line.split()) for line in lines]


@pytest.fixture(scope="module")
def ranks(merges) -> dict[tuple[str, ...], int]:
    return {pair: place for place, pair in enumerate(merges)}


@pytest.fixture(scope="module")
def numbers(merges) -> dict[str, int]:
    numbers = {first + second: 512 + place for place, (first, second) in enumerate(merges)}
    for place in range(26):
        letter = chr(ord("a") + place)
        numbers[letter], numbers[letter + "</w>"] = 64 + place, 320 + place
    return numbers


@settings(max_examples=200, deadline=None)
@given(word=st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20))
def test_merges_against_the_book(word, ranks, numbers):
    assert default_tokenizer().encode(word) == [numbers[part] for part in _slow_bpe(word, ranks)]


def test_plain_english_needs_no_ftfy(monkeypatch):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert tokenize("a dog.").tolist() == GOLDEN[0]["tokens"]
    with pytest.raises(MissingDependencyError, match="pip install ftfy"):
        tokenize("caf\u00e9")


def test_refusals():
    with pytest.raises(InvalidInputError, match="surrogate"):
        tokenize("a\ud800")
    with pytest.raises(InvalidInputError, match="too long"):
        tokenize("a" * 100_001)


def test_damaged_vocabulary(tmp_path):
    whole = vocabulary_file().read_bytes()
    lines = gzip.decompress(whole).split(b"\n")
    cases = {
        "missing": (None, "cannot be read"),
        "truncated": (whole[:5000], "cannot be read"),
        "text": (b"not gzip", "cannot be read"),
        "short": (gzip.compress(b"\n".join(lines[:100])), "damaged"),
        "broken": (gzip.compress(b"\n".join([*lines[:9], b"oneword", *lines[10:]])), "damaged"),
        "repeated": (gzip.compress(b"\n".join([*lines[:9], lines[8], *lines[10:]])), "tokens"),
    }
    for name, (data, word) in cases.items():
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ModelFileError, match=word) as caught:
            ClipTokenizer(path)
        assert str(path) in str(caught.value)
    with pytest.raises(ModelFileError, match="install"):
        vocabulary_file("no_such_vocabulary.gz")


def test_odd_texts_are_flagged():
    assert check_text(TextSample("a photo of a dog")) == []
    for text, word in [("dog " * 80, "cut"), ("1234 !!", "no letters"), ("собака лает", "English")]:
        warnings = check_text(TextSample(text))
        assert len(warnings) == 1
        assert word in warnings[0]


def test_sample():
    assert torch.equal(preprocess_text(TextSample("a dog.")), tokenize("a dog."))
