"""imagebind_node: five senses of a robot in one embedding space, and sounds that find their objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagebind_node.embedding import Embedding, Space, combine, cosine
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder, load_encoder

__version__ = "0.1.0"
__all__ = ["Embedding", "Encoder", "Modality", "Space", "combine", "cosine", "load_encoder"]


def __getattr__(name: str) -> Any:
    # Encoders import torch (seconds, 200 MB): camera and microphone drivers must not pay for it.
    if name in ("Encoder", "load_encoder"):
        from imagebind_node.encoders import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
