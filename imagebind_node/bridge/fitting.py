"""Fit a bridge on captions that the text towers of both spaces encode."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from imagebind_node.bridge.linear_map import Bridge
from imagebind_node.embedding import Space
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

METHODS = ("ridge", "procrustes")
LAMBDAS = tuple(float(x) for x in np.logspace(-4, 2, 13))


def caption_hash(captions: Sequence[str]) -> str:
    """SHA-256 of the captions, one a line, in order: names the set that a bridge was fitted on."""
    return hashlib.sha256("\n".join(captions).encode()).hexdigest()


def fit_bridge(
    captions: Sequence[str],
    source_rows: np.ndarray,
    target_rows: np.ndarray,
    source: Space,
    target: Space,
    *,
    method: str = "ridge",
    regularization: float | None = None,
    held_out: float = 0.2,
    seed: int = 0,
) -> Bridge:
    """Fit on (1 - held_out) of the captions, measure on the rest.

    source_rows, target_rows: unit rows (N, dim) of the same captions in both spaces. Both are centred by
    their training mean. method "ridge": least squares with a penalty, `regularization` times the mean squared
    singular value of the source (None: chosen by leave-one-out error on the training captions); any two
    widths. "procrustes": the nearest map that only turns (Schoenemann 1966), semi-orthogonal for unequal
    widths; keeps angles, so that it stretches no direction that the captions leave open.

    The card says, for held-out captions, R@1 (share whose nearest target caption, among the held-out ones, is
    their own) and mean cosine with their own target; `before` is the same for vectors that only were padded
    or cut to the target's width, which is what "equal width" would give.

    Raises InvalidInputError for too few captions, a repeated one, or rows that do not fit.
    """
    source_rows, target_rows = np.asarray(source_rows, np.float64), np.asarray(target_rows, np.float64)
    _check(captions, source_rows, target_rows, source, target, method, held_out)
    order = np.random.default_rng(seed).permutation(len(captions))
    test = order[: max(2, round(len(captions) * held_out))]
    train = order[len(test) :]
    x, y = source_rows[train], target_rows[train]
    x_mean, y_mean = x.mean(0), y.mean(0)
    if method == "ridge":
        matrix, chosen = _ridge(x - x_mean, y - y_mean, regularization)
    else:
        matrix, chosen = _procrustes(x - x_mean, y - y_mean), None
    bridge = Bridge(
        source=source,
        target=target,
        matrix=matrix.astype(np.float32),
        source_means={Modality.TEXT: x_mean.astype(np.float32)},
        target_mean=y_mean.astype(np.float32),
    )
    truth = target_rows[test]
    padded = np.zeros_like(truth)
    width = min(source.dim, target.dim)
    padded[:, :width] = source_rows[test][:, :width]
    padded /= np.maximum(np.linalg.norm(padded, axis=1, keepdims=True), 1e-12)
    card = {
        "method": method,
        "regularization": chosen,
        "seed": seed,
        "captions": {"sha256": caption_hash(captions), "count": len(captions), "held_out": len(test)},
        "chance_recall_at_1": 1.0 / len(test),
        "before": _quality(padded, truth, y_mean),
        "after": _quality(bridge.map_rows(source_rows[test]), truth, y_mean),
    }
    return Bridge(source, target, bridge.matrix, bridge.source_means, bridge.target_mean, card)


def _check(
    captions: Sequence[str],
    source_rows: np.ndarray,
    target_rows: np.ndarray,
    source: Space,
    target: Space,
    method: str,
    held_out: float,
) -> None:
    if method not in METHODS:
        raise InvalidInputError(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if not 0.0 < held_out < 1.0:
        raise InvalidInputError(f"held_out must be between 0 and 1, got {held_out}")
    if len(captions) < 20:
        raise InvalidInputError(f"a bridge needs at least 20 captions, better thousands; got {len(captions)}")
    if len(set(captions)) != len(captions):
        raise InvalidInputError("the caption set repeats a caption: the held-out part would leak")
    for name, rows, space in (("source", source_rows, source), ("target", target_rows, target)):
        if rows.shape != (len(captions), space.dim):
            raise InvalidInputError(f"{name} rows must be ({len(captions)}, {space.dim}), got {rows.shape}")
        if not np.isfinite(rows).all():
            raise InvalidInputError(f"{name} rows hold NaN or infinite values")


def _ridge(x: np.ndarray, y: np.ndarray, regularization: float | None) -> tuple[np.ndarray, float]:
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    unit = float((s**2).mean())
    uy = u.T @ y

    def leave_one_out(factor: float) -> float:
        shrink = s**2 / (s**2 + factor * unit)
        # The means were fitted too: without their 1 / n, few captions would look perfectly predictable.
        leverage = (u**2 * shrink).sum(1) + 1 / len(x)
        residual = y - u @ (shrink[:, None] * uy)
        return float(((residual / np.maximum(1 - leverage, 1e-9)[:, None]) ** 2).sum())

    chosen = min(LAMBDAS, key=leave_one_out) if regularization is None else float(regularization)
    if not chosen >= 0:
        raise InvalidInputError(f"regularization must not be negative, got {chosen}")
    # Directions that the captions do not span at all must not be blown up when the penalty is 0.
    spanned = s > 1e-10 * s.max()
    gain = np.where(spanned, s / np.where(spanned, s**2 + chosen * unit, 1.0), 0.0)
    return vt.T @ (gain[:, None] * uy), chosen


def _procrustes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(x.T @ y, full_matrices=False)
    # A turn keeps lengths, but the two spaces may spread differently around their means.
    return u @ vt * np.sqrt((y**2).sum() / (x**2).sum())


def _quality(mapped: np.ndarray, truth: np.ndarray, mean: np.ndarray) -> dict[str, float]:
    """R@1 and cosine with the own target, plain and around the mean of the captions (the constant part left out)."""
    similarity = mapped @ truth.T
    own = np.arange(len(truth))
    centred_mapped, centred_truth = mapped - mean, truth - mean
    norms = np.linalg.norm(centred_mapped, axis=1) * np.linalg.norm(centred_truth, axis=1)
    centred = (centred_mapped * centred_truth).sum(1) / np.maximum(norms, 1e-12)
    return {
        "recall_at_1": float((similarity.argmax(1) == own).mean()),
        "cosine": float(similarity[own, own].mean()),
        "centred_cosine": float(centred.mean()),
    }
