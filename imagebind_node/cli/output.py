"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from imagebind_node.embedding import Embedding

SCHEMA_VERSION = 1


def print_json(command: str, **fields: Any) -> None:
    """Print the one JSON document of a command; `schema` names the command and the version of its layout."""
    document = {"schema": f"imagebind_node.{command}/{SCHEMA_VERSION}", **fields}
    json.dump(_plain(document), sys.stdout, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print left-aligned columns; numbers align right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    numeric = [
        bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(headers))
    ]
    for row in [list(headers), *cells]:
        line = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric)
        ]
        print("  ".join(line).rstrip())


def embedding_fields(source: str, embedding: Embedding, *, vector: bool = True) -> dict[str, Any]:
    """JSON fields of one embedding."""
    fields = {
        "input": source,
        "modality": embedding.modality.value,
        "space": embedding.space.id,
        "dim": embedding.space.dim,
        "window": embedding.window,
        "confidence": embedding.confidence,
        "abstained": embedding.abstained,
        "labels": [{"name": name, "score": score} for name, score in embedding.labels],
    }
    return {**fields, "vector": embedding.vector} if vector else fields


def heard(embedding: Embedding, count: int = 3) -> str:
    """What the encoder recognised, best first: 'Dog 0.93, Bark 0.41'."""
    return ", ".join(f"{name} {score:.2f}" for name, score in embedding.labels[:count])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    """numpy to Python; floats that JSON cannot say become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
