"""Queries: one input of any modality, or a weighted sum of several. Imports no torch.

`image:crane.jpg + audio:waves.wav - 0.5 * text:"people"`: terms are separated by ` + ` or ` - ` with spaces
around them; a term may carry a weight, `0.5 *`; quotes keep spaces and signs together. A term is a file,
`MODALITY:PATH`, `text:WORDS` or `embedding:FILE.json` (a vector saved by `imagebind-node embed --json`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagebind_node.arithmetic import combine_spherical
from imagebind_node.embedding import Embedding, Space, combine
from imagebind_node.errors import InvalidInputError
from imagebind_node.files import parse_input, prefixes
from imagebind_node.formats.bounded import decoding
from imagebind_node.formats.documents import read_json
from imagebind_node.samples import Modality, Sample, parse_modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

MAX_TERMS = 32
_EMBEDDING = "embedding"
_WEIGHT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*\*\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Term:
    """One summand. `source`: as written; `content`: a sample to encode, or a vector that was made before."""

    source: str
    modality: Modality
    content: Sample | Embedding
    weight: float = 1.0


@dataclass(frozen=True)
class Query:
    """What to look for: `text` as written, `label` for people, at least one term."""

    text: str
    label: str
    terms: tuple[Term, ...]

    @property
    def modalities(self) -> frozenset[Modality]:
        """Towers that it takes to embed the query."""
        return frozenset(t.modality for t in self.terms if not isinstance(t.content, Embedding))

    def embed(self, encoder: Encoder, *, spherical: bool = False) -> Embedding:
        """The query's embedding: terms normalised, weighted, summed, normalised (or their spherical mean).

        It abstains (and may have no vector) if a term does. Raises SpaceMismatchError for a saved vector of
        another space and UnsupportedModalityError if `encoder` lacks a tower.
        """
        return self.combine(self.embed_terms(encoder), spherical=spherical)

    def embed_terms(self, encoder: Encoder) -> list[Embedding]:
        """One embedding a term, without the weights."""
        return [self._embed_term(term, encoder) for term in self.terms]

    def combine(self, embeddings: list[Embedding], *, spherical: bool = False) -> Embedding:
        """Put the embeddings of the terms together."""
        if len(embeddings) == 1 and self.terms[0].weight == 1.0:
            return embeddings[0]
        missing = next((e for e in embeddings if not e.vector.size), None)
        if missing is not None:
            return missing
        weights = [term.weight for term in self.terms]
        return combine_spherical(embeddings, weights) if spherical else combine(embeddings, weights)

    @staticmethod
    def _embed_term(term: Term, encoder: Encoder) -> Embedding:
        if isinstance(term.content, Embedding):
            encoder.space.require_same(term.content.space)
            return term.content
        return encoder.encode(term.modality, [term.content])[0]


def parse_query(text: str) -> Query:
    """Read a query and the files that it names.

    Raises InvalidInputError for bad grammar, and whatever reading the files raises.
    """
    if _is_file(text):
        modality, sample = parse_input(text)
        return Query(text, _label(text), (Term(text, modality, sample),))
    parts = _split(text)
    if len(parts) > MAX_TERMS:
        raise InvalidInputError(f"query has {len(parts)} terms: use at most {MAX_TERMS}")
    terms = tuple(_term(sign, part, text) for sign, part in parts)
    if all(term.weight == 0 for term in terms):
        raise InvalidInputError(f"query {text!r}: every weight is 0, nothing is left to look for")
    label = " ".join(
        ("" if i == 0 and term.weight > 0 else "- " if term.weight < 0 else "+ ") + _label(term.source)
        for i, term in enumerate(terms)
    )
    return Query(text, label, terms)


def read_embedding(path: str | Path) -> Embedding:
    """First embedding of a file written by `imagebind-node embed --json`; raises InvalidInputError."""
    with decoding(path, "embedding", "write it with imagebind-node embed INPUT --json > FILE"):
        entry = read_json(path, "embedding")["embeddings"][0]
        return Embedding(
            vector=np.asarray(entry["vector"], np.float32),
            modality=parse_modality(entry["modality"]),
            space=Space(str(entry["space"]), int(entry["dim"])),
            window=float(entry["window"]),
            confidence=float(entry["confidence"]),
            abstained=bool(entry["abstained"]),
        )


def _term(sign: float, part: str, whole: str) -> Term:
    weighted = _WEIGHT.fullmatch(part)
    weight, source = (float(weighted[1]), weighted[2]) if weighted else (1.0, part)
    source = _unquote(source.strip())
    if not source:
        raise InvalidInputError(f"query {whole!r} has an empty term: write image:a.jpg + audio:b.wav")
    if not math.isfinite(weight):
        raise InvalidInputError(f"query {whole!r}: weight {weighted[1] if weighted else weight} is too large")
    prefix, colon, rest = source.partition(":")
    if colon and prefix.strip().lower() == _EMBEDDING:
        saved = read_embedding(_unquote(rest.strip()))
        return Term(source, saved.modality, saved, sign * weight)
    if colon and _has_prefix(source):
        source = f"{prefix}:{_unquote(rest.strip())}"
    modality, sample = parse_input(source)
    return Term(source, modality, sample, sign * weight)


def _split(text: str) -> list[tuple[float, str]]:
    """[(sign, term)]: split at + and - that stand alone between spaces and outside quotes."""
    parts: list[tuple[float, str]] = []
    quote, start, sign = "", 0, 1.0
    stripped = text.lstrip()
    if stripped[:2] in ("- ", "+ "):
        sign, start = (-1.0 if stripped[0] == "-" else 1.0), len(text) - len(stripped) + 1
    for i in range(start, len(text)):
        character = text[i]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and text[i - 1 : i] in ("", ":", " "):
            quote = character
        elif character in "+-" and text[i - 1 : i].isspace() and text[i + 1 : i + 2].isspace() and i > start:
            parts.append((sign, text[start:i]))
            sign, start = (-1.0 if character == "-" else 1.0), i + 1
    if quote:
        raise InvalidInputError(f"query {text!r}: the quote {quote} is not closed")
    return [*parts, (sign, text[start:])]


def _has_prefix(text: str) -> bool:
    prefix, colon, _ = text.partition(":")
    return bool(colon) and prefix.strip().lower() in (*prefixes(), _EMBEDDING)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _label(source: str) -> str:
    if not _has_prefix(source):
        return Path(source).stem
    prefix, _, rest = source.partition(":")
    return rest.strip() if prefix.strip().lower() == "text" else Path(rest.strip()).stem
