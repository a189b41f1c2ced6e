"""JSON and YAML files that somebody else wrote: bounded in size, no code, no surprises but InvalidInputError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import MEBI, decoding, one_line, read_bytes

JSON_BYTES = 64 * MEBI
YAML_BYTES = MEBI


def read_json(path: str | Path, what: str = "JSON document") -> Any:
    """The content of a JSON file of at most 64 MiB, in UTF-8. Raises InvalidInputError naming file and cause."""
    with decoding(path, what, "it must be JSON in UTF-8"):
        return json.loads(read_bytes(path, JSON_BYTES).decode("utf-8-sig"))


def read_yaml(path: str | Path, what: str = "YAML document") -> Any:
    """The content of a YAML file of at most 1 MiB, in UTF-8: plain values only, without anchors.

    Raises InvalidInputError naming file and cause.
    """
    with decoding(path, what, "it must be YAML in UTF-8"):
        text = read_bytes(path, YAML_BYTES).decode("utf-8-sig")
        try:
            return yaml.load(text, Loader=_PlainLoader)
        except yaml.YAMLError as error:
            raise InvalidInputError(f"not a readable {what} ({one_line(error)})") from None


class _PlainLoader(yaml.SafeLoader):
    """Refuses references: a few lines of them stand for more text than fits into memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(
                None, None, "references (*name) are not supported", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)
