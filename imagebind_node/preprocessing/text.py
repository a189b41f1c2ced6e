"""Words for the text tower: the byte pair encoding of CLIP."""

from __future__ import annotations

import gzip
import html
import re
import sysconfig
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Regex, models, pre_tokenizers

from imagebind_node.errors import InvalidInputError, MissingDependencyError, ModelFileError
from imagebind_node.samples import TextSample


@dataclass(frozen=True)
class TextParameters:
    """Vocabulary of CLIP (Radford et al. 2021), as OpenCLIP and ImageBind use it: 256 bytes, the same 256 at the
    end of a word, `merges` pairs, then the two marks."""

    context: int = 77
    merges: int = 48_894
    start: int = 49_406
    end: int = 49_407
    vocabulary: str = "bpe_simple_vocab_16e6.txt.gz"


TEXT = TextParameters()
MAX_CHARACTERS = 100_000

_START_MARK, _END_MARK = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# A mark whose case partner is a letter: it falls through the original's case-insensitive pattern and is lost.
_LOST = "\N{COMBINING GREEK YPOGEGRAMMENI}"


def vocabulary_file(name: str = TEXT.vocabulary) -> Path:
    """The vocabulary that ships with the package: models/ in the source tree, share/imagebind_node/models where pip
    or colcon installed it. Raises ModelFileError."""
    wanted = Path("models") / "imagebind_huge" / name
    roots = list(Path(__file__).resolve().parents)[1:6]
    shares = [root / "share" / "imagebind_node" for root in (Path(sysconfig.get_path("data")), *roots)]
    for folder in (roots[1], *shares):
        if (folder / wanted).is_file():
            return folder / wanted
    raise ModelFileError(f"{wanted} not found in {roots[1]} nor {shares[0]}: install imagebind_node again")


class ClipTokenizer:
    """Text -> tokens. Building it takes a tenth of a second; it may be shared and is not changed by use."""

    def __init__(self, vocabulary: Path, parameters: TextParameters = TEXT) -> None:
        """Raises ModelFileError if the vocabulary is missing, damaged or of another size."""
        self._parameters = parameters
        merges = _read_merges(vocabulary, parameters.merges)
        symbols = _byte_symbols()
        names = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(pair) for pair in merges]
        names += [_START_MARK, _END_MARK]
        table = {name: number for number, name in enumerate(names)}
        if table[_START_MARK] != parameters.start or len(table) != parameters.end + 1:
            raise ModelFileError(f"{vocabulary}: holds {len(table)} tokens, expected {parameters.end + 1}")
        self._bpe = models.BPE(table, merges, end_of_word_suffix="</w>", continuing_subword_prefix="")
        # Both marks are recognised within a text where the original's own pattern recognises them.
        self._marks = {_START_MARK: parameters.start, _END_MARK: parameters.end}
        self._split = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(f"(?i){_WORDS}"), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    def encode(self, text: str) -> list[int]:
        """Tokens of a text of any length, without start and end. Raises InvalidInputError for broken Unicode."""
        words = self._split.pre_tokenize_str(clean(text))
        tokens: list[int] = []
        for word, _ in words:
            if word in self._marks:
                tokens.append(self._marks[word])
            else:
                tokens += [token.id for token in self._bpe.tokenize(word)]
        return tokens

    def __call__(self, text: str) -> torch.Tensor:
        """int64 (77,): start, tokens (cut to 75), end, zeros."""
        length = self._parameters.context
        tokens = [self._parameters.start, *self.encode(text)][: length - 1] + [self._parameters.end]
        return torch.tensor(tokens + [0] * (length - len(tokens)), dtype=torch.int64)


def clean(text: str) -> str:
    """What the original does before splitting: repair the encoding (ftfy), unescape HTML twice, join whitespace,
    lower case. Raises InvalidInputError for lone surrogates and for more than 100000 characters."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidInputError(f"text of {len(text)} characters is too long (limit {MAX_CHARACTERS})")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError("text is not valid Unicode (lone surrogate): decode it as UTF-8") from None
    # On printable ASCII without entities ftfy changes nothing: plain English needs no extra package.
    if not (text.isascii() and text.isprintable() and "&" not in text):
        text = _repair(text)
    text = html.unescape(html.unescape(text)).strip()
    return re.sub(r"\s+", " ", text).strip().lower().replace(_LOST, " ")


def _repair(text: str) -> str:
    try:
        import ftfy
    except ImportError:
        raise MissingDependencyError(
            "text beyond plain ASCII is cleaned with ftfy, which is not installed: pip install ftfy"
        ) from None
    return ftfy.fix_text(text)


def _byte_symbols() -> list[str]:
    """A visible character for each byte, in the vocabulary's order: printable ones stand for themselves."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in set(visible)]
    return [chr(byte) for byte in visible] + [chr(256 + place) for place in range(len(hidden))]


def _read_merges(path: Path, count: int) -> list[tuple[str, str]]:
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{path}: vocabulary cannot be read ({error}): install the package again"
        ) from error
    pairs: list[tuple[str, str]] = []
    for line in lines[1 : count + 1]:
        first, _, second = line.partition(" ")
        if not first or not second:
            raise ModelFileError(f"{path}: vocabulary is damaged (line {len(pairs) + 2}): install it again")
        pairs.append((first, second))
    if len(pairs) != count:
        raise ModelFileError(f"{path}: vocabulary has {len(pairs)} of {count} merges: install it again")
    return pairs


@lru_cache(maxsize=1)
def default_tokenizer() -> ClipTokenizer:
    """The shipped tokenizer, built once."""
    return ClipTokenizer(vocabulary_file())


def tokenize(text: str) -> torch.Tensor:
    """Text -> int64 (77,), tokens of CLIP; longer texts are cut. Raises InvalidInputError, ModelFileError."""
    return default_tokenizer()(text)


def preprocess_text(sample: TextSample) -> torch.Tensor:
    """TextSample -> int64 (77,)."""
    return tokenize(sample.data)


def check_text(sample: TextSample) -> list[str]:
    """Warnings about words that the text tower was not trained on; empty if fine."""
    warnings = []
    tokens = default_tokenizer().encode(sample.data)
    if len(tokens) > TEXT.context - 2:
        warnings.append(
            f"text has {len(tokens)} tokens: only the first {TEXT.context - 2} are read, the rest is cut"
        )
    letters = [character for character in sample.data if character.isalpha()]
    if not letters:
        warnings.append("text holds no letters: write a phrase such as 'a dog'")
    elif sum(not character.isascii() for character in letters) > len(letters) / 2:
        warnings.append("text is mostly not in Latin letters: the model was trained on English")
    return warnings
