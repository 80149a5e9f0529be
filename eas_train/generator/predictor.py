"""The accuracy predictor: what each gate adds to a superclass's score, fitted to measured sub-networks.

Two ridge regressions: one shared by all superclasses on the mean score, one for each superclass on what the shared one
leaves. Networks are scored on validation drawings and, weighted, on augmented training drawings, of which there are
more. The weight and how strongly each regression is shrunk are cross-validated over networks and validation drawings at
once, because what must carry over is a preference among networks it has not seen, on drawings it has not seen: one
superclass is validated on some twenty drawings, which any network can suit by chance.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WEIGHTS = (0.0, 1.0, 3.0, 10.0)
SHARED = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3)
OWN = (0.3, 3.0, 30.0, 300.0, 3e3, 3e4, 1e9)


@dataclass(frozen=True, eq=False)
class Predictor:
    """Linear in the effective gates: score[t] = weights[t] @ gates + bias[t].

    Attributes:
        weights: [T, gates]; bias: [T]. What the score is: see measure.py.
        rank_correlation: Spearman's, mean over superclasses, on networks and drawings that were held out.
        training_weight: of the score on training drawings, against 1 of that on validation drawings; shared, own: the
            ridge strengths. Cross-validation chose all three.
    """

    weights: Array
    bias: Array
    rank_correlation: float
    training_weight: float
    shared: float
    own: float


def fit(
    gates: npt.NDArray[np.bool_],
    scores: Array,
    superclass_of: npt.NDArray[np.int64],
    training: npt.NDArray[np.bool_],
    *,
    rounds: int = 10,
    seed: int = 0,
) -> Predictor:
    """Fit on measured sub-networks.

    Args:
        gates: [N, gates] effective gates.
        scores: [N, D] of each network on each drawing, higher is better.
        superclass_of: [D], the superclass of each drawing, in 0..T-1; each has validation drawings.
        training: [D], whether a drawing was trained on.
        rounds: random halvings of the validation drawings, each with another fifth of the networks held out.
        seed: of the halvings.
    """
    x = gates.astype(np.float64)
    rng = np.random.default_rng(seed)
    seen = _means(scores, superclass_of, training) if training.any() else None
    weights = WEIGHTS if seen is not None else (0.0,)
    errors = dict.fromkeys(itertools.product(weights, SHARED, OWN), 0.0)
    correlations = dict.fromkeys(errors, 0.0)
    for _ in range(rounds):
        held_out = rng.permutation(len(x)) < len(x) // 5
        mine, others = (_means(scores, superclass_of, half) for half in _halves(superclass_of, ~training, rng))
        truth = others[held_out]
        for weight, shared, own in errors:
            w, b = _fit(x[~held_out], _mixed(mine, seen, weight)[~held_out], shared, own)
            predicted = x[held_out] @ w.T + b
            # Only preferences count: some drawings are harder for every network.
            gap = (predicted - predicted.mean(0)) - (truth - truth.mean(0))
            errors[weight, shared, own] += float((gap**2).mean()) / rounds
            pairs = zip(predicted.T, truth.T, strict=True)
            correlations[weight, shared, own] += float(np.mean([_spearman(p, t) for p, t in pairs])) / rounds
    best = min(errors, key=lambda chosen: errors[chosen])
    w, b = _fit(x, _mixed(_means(scores, superclass_of, ~training), seen, best[0]), *best[1:])
    return Predictor(w, b, correlations[best], *best)


def _mixed(validation: Array, training: Array | None, weight: float) -> Array:
    """[N, T] scores on validation and training drawings, weighted 1 to `weight`."""
    return validation if training is None else (validation + weight * training) / (1 + weight)


def _halves(
    superclass_of: npt.NDArray[np.int64], among: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], ...]:
    """Two random halves [D] of the drawings `among` those of every superclass; a single drawing is in both."""
    one, other = np.zeros(len(superclass_of), bool), np.zeros(len(superclass_of), bool)
    for t in range(int(superclass_of.max()) + 1):
        members = rng.permutation(np.flatnonzero((superclass_of == t) & among))
        half = len(members) // 2
        one[members[: max(half, 1)]] = True
        other[members[half:]] = True
    return one, other


def _means(scores: Array, superclass_of: npt.NDArray[np.int64], drawings: npt.NDArray[np.bool_]) -> Array:
    """[N, T] mean scores over some drawings [D] of each superclass."""
    members = np.eye(int(superclass_of.max()) + 1)[superclass_of] * drawings[:, None]
    return np.asarray(scores @ (members / members.sum(0)), np.float64)


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
