"""Loading models as the parameters of a node say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebind_node.nodes.parameters import Settings

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder


def load_model(settings: Settings) -> Encoder:
    """The encoder that `model`, `checkpoint`, `modalities`, `device` and `precision` name."""
    import torch

    from imagebind_node.encoders.base import load_encoder

    if settings["threads"] > 0:
        torch.set_num_threads(settings["threads"])
    return load_encoder(
        settings["model"],
        checkpoint=settings["checkpoint"] or None,
        modalities=settings["modalities"],
        device=settings["device"],
        precision=settings["precision"],
    )


def model_name(settings: Settings) -> str:
    """What `Embedding.model` says: family and precision."""
    return f"{settings['model']}/{settings['precision']}"
