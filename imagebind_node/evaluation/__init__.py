"""Measuring models on data: retrieval, detection by cue, generation; with chance and confidence intervals."""

from imagebind_node.evaluation.detection import evaluate_detection
from imagebind_node.evaluation.generation import evaluate_generation
from imagebind_node.evaluation.retrieval import evaluate_retrieval

__all__ = ["evaluate_detection", "evaluate_generation", "evaluate_retrieval"]
