"""The accuracy predictor: what each gate adds to a superclass's score, fitted to measured sub-networks.

Two ridge regressions: one shared by all superclasses on the mean score, one for each superclass on what the
shared one leaves, more strongly shrunk, because single superclasses are measured on few drawings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Linear in the effective gates: score[t] = weights[t] @ gates + bias[t].

    Attributes:
        weights: [T, gates]; bias: [T]. The score is minus the cross-entropy in nats.
        rank_correlation: Spearman's, mean over superclasses, on held-out sub-networks.
    """

    weights: Array
    bias: Array
    rank_correlation: float


def fit(gates: npt.NDArray[np.bool_], scores: Array, *, folds: int = 5) -> Predictor:
    """Fit on measured sub-networks.

    Args:
        gates: [N, gates] effective gates; scores: [N, T], higher is better.
        folds: cross-validation that picks both shrinkages.
    """
    x = gates.astype(np.float64)
    strengths = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    fold = np.arange(len(x)) % folds

    def held_out(shared: float, own: float) -> tuple[float, float]:
        predicted = np.empty_like(scores)
        for f in range(folds):
            train, test = fold != f, fold == f
            w, b = _fit(x[train], scores[train], shared, own)
            predicted[test] = x[test] @ w.T + b
        correlation = [_spearman(predicted[:, t], scores[:, t]) for t in range(scores.shape[1])]
        return float(((predicted - scores) ** 2).mean()), float(np.mean(correlation))

    results = {(a, b): held_out(a, b) for a in strengths for b in (*strengths, 1e3, 1e4, 1e6)}
    best = min(results, key=lambda pair: results[pair][0])
    w, b = _fit(x, scores, *best)
    return Predictor(w, b, results[best][1])


def _fit(x: Array, y: Array, shared: float, own: float) -> tuple[Array, Array]:
    mean_w, mean_b = _ridge(x, y.mean(1, keepdims=True), shared)
    residual = y - (x @ mean_w.T + mean_b)
    own_w, own_b = _ridge(x, residual, own)
    return mean_w + own_w, mean_b + own_b


def _ridge(x: Array, y: Array, strength: float) -> tuple[Array, Array]:
    centre = x.mean(0)
    z = x - centre
    w = np.linalg.solve(z.T @ z + strength * np.eye(x.shape[1]), z.T @ (y - y.mean(0))).T
    return w, y.mean(0) - w @ centre


def _spearman(a: Array, b: Array) -> float:
    """Spearman's rank correlation; 0 where either is constant."""
    x, y = _ranks(a), _ranks(b)
    return float(np.corrcoef(x, y)[0, 1]) if x.std() and y.std() else 0.0


def _ranks(values: Array) -> Array:
    """Ranks from 0; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[inverse], np.float64)
