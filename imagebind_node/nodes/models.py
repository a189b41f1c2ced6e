"""Loading models as the parameters of a node say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagebind_node.nodes.parameters import Settings

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder


def load_model(settings: Settings, bound: Sequence[str] = ()) -> Encoder:
    """The encoder that `model`, `checkpoint`, `modalities`, `device` and `precision` name, and `bound` towers."""
    # Threads that wait by spinning take the core from the other nodes: measured with two of them on a busy machine,
    # a frame cost 1.9 s of processor time instead of 1.0. Read by OpenMP when PyTorch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from imagebind_node.binding.bound import read_bound_card
    from imagebind_node.encoders.base import load_encoder

    if settings["threads"] > 0:
        torch.set_num_threads(settings["threads"])
    added = [read_bound_card(folder)["modality"] for folder in bound] if bound else []
    return load_encoder(
        settings["model"],
        checkpoint=settings["checkpoint"] or None,
        modalities=[*settings["modalities"], *added],
        device=settings["device"],
        precision=settings["precision"],
        bound=bound,
    )


def model_name(settings: Settings) -> str:
    """What `Embedding.model` says: family and precision."""
    return f"{settings['model']}/{settings['precision']}"
