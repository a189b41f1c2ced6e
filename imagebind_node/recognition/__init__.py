"""Recognition of any modality: zero-shot by class names, few-shot by examples, and description by nearest texts."""

from __future__ import annotations

from imagebind_node.recognition.class_set import ClassSet, read_class_set
from imagebind_node.recognition.few_shot import ClassMeans, LinearProbe
from imagebind_node.recognition.vocabulary import Vocabulary
from imagebind_node.recognition.zero_shot import UNKNOWN, Recognition, ZeroShotClassifier

__all__ = [
    "UNKNOWN",
    "ClassMeans",
    "ClassSet",
    "LinearProbe",
    "Recognition",
    "Vocabulary",
    "ZeroShotClassifier",
    "read_class_set",
]
