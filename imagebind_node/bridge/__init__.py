"""Bridges: linear maps that carry embeddings from one space into another."""

from imagebind_node.bridge.linear_map import Bridge

__all__ = ["Bridge"]
