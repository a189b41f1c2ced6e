"""Retrieval over files and bags: find what can be indexed, cut it into windows, encode it, remember it."""

from __future__ import annotations

from imagebind_node.retrieval.files import find_sources
from imagebind_node.retrieval.job import IndexReport, index_sources

__all__ = ["IndexReport", "find_sources", "index_sources"]
