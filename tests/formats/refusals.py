"""What tests of file readers ask of an error: one line that names the file and the cause."""

from __future__ import annotations

import pytest

from imagebind_node.errors import InvalidInputError


def one_line(excinfo: pytest.ExceptionInfo, *words: str) -> str:
    message = str(excinfo.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def refusal(reader, path) -> str | None:
    """What the reader's InvalidInputError says; None if it reads the file. Anything else raised fails the test."""
    try:
        reader(path)
    except InvalidInputError as error:
        return str(error)
    return None
