"""Content messages of service requests -> samples or embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from imagebind_msgs.msg import Content

from imagebind_node.embedding import Embedding, combine
from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes.conversions import audio_sample, embedding, imu_sample
from imagebind_node.nodes.image_conversions import picture_sample
from imagebind_node.samples import Modality, Sample, TextSample

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

KINDS = (*(modality.value for modality in Modality), "embedding")


def content_sample(content: Content) -> Sample:
    """The sample that `content.modality` names. Raises InvalidInputError."""
    modality = Modality(content.modality)
    if modality is Modality.TEXT:
        return TextSample(content.text)
    if modality is Modality.AUDIO:
        return audio_sample(content.audio)
    if modality is Modality.IMU:
        return imu_sample(content.imu)
    info = content.camera_info if modality is Modality.DEPTH else None
    return picture_sample(content.image, modality, info)


def embed_content(content: Content, encoder: Encoder) -> Embedding:
    """Encode `content`, or take over its embedding if that is of the encoder's space.

    Raises InvalidInputError, SpaceMismatchError or UnsupportedModalityError.
    """
    if content.modality not in KINDS:
        raise InvalidInputError(
            f"unknown modality {content.modality!r} of content: use one of {', '.join(KINDS)}"
        )
    if content.modality == "embedding":
        return embedding(content.embedding, encoder.space)
    modality = Modality(content.modality)
    encoder.require(modality)
    return encoder.encode(modality, [content_sample(content)])[0]


def embed_sum(terms: Sequence[Content], weights: Sequence[float], encoder: Encoder) -> Embedding:
    """The weighted sum of `terms` (at least one); without weights all count the same.

    Raises InvalidInputError for weights that do not fit or a term with too little evidence, else as embed_content.
    """
    if len(weights) not in (0, len(terms)):
        raise InvalidInputError(f"{len(weights)} weights for {len(terms)} terms")
    factors = [float(weight) for weight in weights] or None
    if factors is not None and not np.isfinite(factors).all():
        raise InvalidInputError("need one finite weight for each term")
    if factors is not None and not np.any(factors):
        raise InvalidInputError("all weights are 0: nothing is left")
    embeddings = [embed_content(content, encoder) for content in terms]
    for content, encoded in zip(terms, embeddings):
        if encoded.abstained:
            raise InvalidInputError(f"too little evidence in {describe(content)!r}: give a clearer one")
    return embeddings[0] if factors is None and len(embeddings) == 1 else combine(embeddings, factors)


def describe(content: Content) -> str:
    """A short name for a class made of `content`, where the client gave none."""
    if content.modality == "text":
        return content.text.strip()
    if content.modality == "embedding" and content.embedding.labels:
        return content.embedding.labels[0]
    return content.modality
