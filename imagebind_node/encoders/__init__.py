"""Encoders: samples of any modality in, embeddings of one space out."""

from imagebind_node.encoders.base import Encoder, encoder_names, load_encoder, register_encoder

__all__ = ["Encoder", "encoder_names", "load_encoder", "register_encoder"]
