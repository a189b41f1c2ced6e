"""Measuring models on data: retrieval across modalities, detection by cue; with chance and confidence intervals."""

from imagebind_node.evaluation.detection import evaluate_detection
from imagebind_node.evaluation.retrieval import evaluate_retrieval

__all__ = ["evaluate_detection", "evaluate_retrieval"]
