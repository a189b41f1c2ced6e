"""Few-shot recognition: a handful of examples a class instead of its name.

Class means need one example a class; the linear probe (logistic regression, as in section 4.4 of the ImageBind
paper) needs a few and is better from about four on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagebind_node.embedding import Embedding, Space, stack
from imagebind_node.errors import InvalidInputError, MissingDependencyError
from imagebind_node.formats.arrays import ARRAY_BYTES, load_npz
from imagebind_node.formats.bounded import decoding, read_bytes
from imagebind_node.recognition.calibration import softmax
from imagebind_node.recognition.zero_shot import Recognition


class FewShotClassifier(ABC):
    """Weights (C, dim) and biases (C,) over unit vectors of one space."""

    def __init__(self, space: Space, labels: Sequence[str], weights: np.ndarray, biases: np.ndarray) -> None:
        self.space, self.labels = space, tuple(labels)
        self._weights, self._biases = weights, biases

    @classmethod
    @abstractmethod
    def fit(cls, embeddings: Sequence[Embedding], labels: Sequence[str]) -> FewShotClassifier:
        """Learn from embeddings (of any modalities, one space) with a label each; at least two classes."""

    def probabilities(self, embeddings: Sequence[Embedding]) -> np.ndarray:
        """Float64 (N, C), rows sum to 1, in the order of `labels`."""
        self.space.require_same(embeddings[0].space)
        return softmax(stack(embeddings).astype(np.float64) @ self._weights.T + self._biases)

    def recognise(self, embedding: Embedding, top: int = 5) -> Recognition:
        """The `top` most likely classes; their cosines are NaN. Without a vector there are none, and it abstains."""
        if embedding.vector.size == 0:
            self.space.require_same(embedding.space)
            return Recognition((), (), (), abstained=True)
        shares = self.probabilities([embedding])[0]
        order = np.argsort(-shares, kind="stable")[:top]
        return Recognition(
            labels=tuple(self.labels[i] for i in order),
            probabilities=tuple(float(shares[i]) for i in order),
            cosines=(float("nan"),) * len(order),
            abstained=embedding.abstained,
        )

    def predict(self, embeddings: Sequence[Embedding]) -> list[str]:
        """The likeliest label of each."""
        return [self.labels[i] for i in self.probabilities(embeddings).argmax(1)]

    def save(self, path: str | Path) -> None:
        """Write to an .npz file."""
        np.savez(
            path,
            kind=type(self).__name__,
            space=self.space.id,
            labels=np.array(self.labels),
            weights=self._weights,
            biases=self._biases,
        )


class ClassMeans(FewShotClassifier):
    """Nearest mean: cosine to the mean of a class's examples, over a temperature."""

    TEMPERATURE = 0.05

    @classmethod
    def fit(cls, embeddings: Sequence[Embedding], labels: Sequence[str]) -> ClassMeans:
        names, index, matrix = _examples(embeddings, labels)
        means = np.stack([matrix[index == i].mean(0) for i in range(len(names))])
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        if (norms < 1e-6).any():
            raise InvalidInputError(f"the examples of class {names[int(norms.argmin())]!r} cancel out")
        return cls(embeddings[0].space, names, means / norms / cls.TEMPERATURE, np.zeros(len(names)))


class LinearProbe(FewShotClassifier):
    """Logistic regression (scikit-learn) on unit vectors scaled to the variance that its penalty expects."""

    PENALTY = 10.0

    @classmethod
    def fit(cls, embeddings: Sequence[Embedding], labels: Sequence[str]) -> LinearProbe:
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise MissingDependencyError(
                "the linear probe needs scikit-learn: pip install 'imagebind_node[learn]'"
            ) from error
        names, index, matrix = _examples(embeddings, labels)
        # Components of a unit vector have variance 1 / dim; without the scale the penalty flattens everything.
        scale = np.sqrt(matrix.shape[1])
        model = LogisticRegression(C=cls.PENALTY / scale, max_iter=2000).fit(matrix * scale, index)
        weights, biases = model.coef_ * scale, model.intercept_
        if len(names) == 2:  # scikit-learn keeps one row for two classes
            weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
        return cls(embeddings[0].space, names, weights, biases)


def load_few_shot(path: str | Path) -> FewShotClassifier:
    """Read what `save` wrote; raises InvalidInputError for another file."""
    kinds = {kind.__name__: kind for kind in (ClassMeans, LinearProbe)}
    with decoding(path, "few-shot classifier", "save it again"):
        file = load_npz(read_bytes(path, ARRAY_BYTES))
        weights, biases, labels = file["weights"], file["biases"], file["labels"]
        if weights.ndim != 2 or not len(weights) == len(labels) == len(biases):
            raise InvalidInputError(f"{len(labels)} labels have weights {weights.shape}")
        kind, space = kinds[str(file["kind"])], Space(str(file["space"]), weights.shape[1])
        return kind(space, [str(label) for label in labels], weights, biases)


def _examples(
    embeddings: Sequence[Embedding], labels: Sequence[str]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    if len(embeddings) != len(labels):
        raise InvalidInputError(f"{len(embeddings)} examples have {len(labels)} labels")
    names = sorted(set(labels))
    if len(names) < 2:
        raise InvalidInputError(f"few-shot recognition needs examples of at least 2 classes, got {names}")
    index = np.array([names.index(label) for label in labels])
    return names, index, stack(embeddings).astype(np.float64)
