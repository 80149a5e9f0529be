"""From runs to figures: accuracies with intervals, paired differences, costs, and how alike architectures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.cells.space import CellSpace
from eas_sdk.space.protocol import Space
from eas_train.search.predictor import one_hot
from eas_train.study.config import Study
from eas_train.study.run import Run

Array = npt.NDArray[np.float64]

DRAWS = 4000


def figures(
    study: Study,
    runs: Sequence[Run],
    superclasses: Sequence[str],
    superclass_of: npt.NDArray[np.int64],
    spaces: Mapping[str, Space],
) -> dict[str, Any]:
    """All figures of a study, as JSON-able data.

    Args:
        runs: of all methods, supernet seeds and seeds.
        superclasses: names; superclass_of: [D], the superclass of each test drawing.
        spaces: of each method's architectures.
    """
    by_method = {method.name: [run for run in runs if run.method == method.name] for method in study.methods}
    cells = {name: stacked(study, mine) for name, mine in by_method.items()}
    rows = []
    for b, budget in enumerate(study.labels):
        for name, mine in by_method.items():
            scores = cells[name][:, :, b]
            row: dict[str, Any] = {
                "budget": budget,
                "method": name,
                "mean_madds": round(float(np.mean([run.madds[b] for run in mine]))),
                "top1": interval(scores, superclass_of),
                **_of_all(study, mine, superclass_of, b),
                "by_superclass": [
                    round(float(scores[:, :, superclass_of == t].mean()), 4) for t in range(len(superclasses))
                ],
                "similarity": round(
                    float(np.mean([similarity(spaces[name], run.architectures[b]) for run in mine])), 4
                ),
            }
            if name != study.reference:
                row["minus_reference"] = interval(scores - cells[study.reference][:, :, b], superclass_of)
            rows.append(row)
    overall = []
    for name in by_method:
        mean = cells[name].mean(2)
        row = {"method": name, "top1": interval(mean, superclass_of), **_of_all(study, by_method[name], superclass_of)}
        if name != study.reference:
            row["minus_reference"] = interval(mean - cells[study.reference].mean(2), superclass_of)
        overall.append(row)
    first = {name: mine[0] for name, mine in by_method.items()}
    return {
        "study": study.name,
        "superclasses": list(superclasses),
        "test_drawings": len(superclass_of),
        "views": study.views,
        "supernet_seeds": list(study.supernet_seeds),
        "seeds": list(study.seeds),
        "reference": study.reference,
        "intervals": "mean, low, high: 95% bootstrap over drawings within superclasses, supernets, and seeds",
        "rows": rows,
        "overall": overall,
        "costs": [{"method": name, **cost(study, mine)} for name, mine in by_method.items()],
        "architectures": {name: run.architectures for name, run in first.items()},
        "side_by_side": [name for name in by_method if isinstance(spaces[name], CellSpace)],
    }


def stacked(study: Study, runs: Sequence[Run], *, of_all: bool = False) -> Array:
    """[supernet seeds, seeds, B, D] scores of one method, within superclasses or among all classes."""
    found = {(run.supernet_seed, run.seed): run.scores_of_all if of_all else run.scores for run in runs}
    return np.array([[found[s, r] for r in study.seeds] for s in study.supernet_seeds])


def _of_all(
    study: Study, runs: Sequence[Run], superclass_of: npt.NDArray[np.int64], budget: int | None = None
) -> dict[str, Any]:
    """Top-1 among all classes at a budget, or as the mean over budgets; nothing where runs do not tell it."""
    if not all(run.scores_of_all for run in runs):
        return {}
    scores = stacked(study, runs, of_all=True)
    return {"top1_of_all": interval(scores.mean(2) if budget is None else scores[:, :, budget], superclass_of)}


def interval(cells: Array, superclass_of: npt.NDArray[np.int64], *, seed: int = 0) -> tuple[float, float, float]:
    """Mean over superclasses of [supernets, seeds, D], with its 95% bootstrap interval.

    Drawings are drawn anew within each superclass, supernets among the supernets, seeds within each supernet: what is
    uncertain is what another artist's drawings, another training and another search would have given.
    """
    supernets, seeds, _ = cells.shape
    rng = np.random.default_rng(seed)
    means = np.zeros((supernets, seeds, DRAWS))
    owners = np.unique(superclass_of)
    for t in owners:
        mine = np.flatnonzero(superclass_of == t)
        weights = rng.multinomial(len(mine), np.full(len(mine), 1 / len(mine)), size=DRAWS) / len(mine)
        means += cells[:, :, mine] @ weights.T / len(owners)
    which = rng.integers(supernets, size=(DRAWS, supernets, 1))
    drawn = means[which, rng.integers(seeds, size=(DRAWS, supernets, seeds)), np.arange(DRAWS)[:, None, None]]
    low, high = np.percentile(drawn.mean((1, 2)), [2.5, 97.5])
    mean = np.mean([cells[:, :, superclass_of == t].mean() for t in owners])
    return round(float(mean), 4), round(float(low), 4), round(float(high), 4)


def similarity(space: Space, architectures: Sequence[str]) -> float:
    """Mean cosine similarity of the one-hot codes of all pairs of architectures (EAS, Figure B)."""
    codes = one_hot(space, space.encode([Architecture.parse(text) for text in architectures])).astype(np.float64)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return float(pairs.mean()) if len(pairs) else 1.0


def cost(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """Mean costs of one run of a method: seconds by stage, networks measured, and answering all requests."""
    mean = {stage: float(np.mean([run.seconds[stage] for run in runs])) for stage in runs[0].seconds}
    return {
        "seconds": {stage: round(value, 4) for stage, value in mean.items()},
        "networks_measured": runs[0].measured,
        "requests": len(study.labels) * len(runs[0].architectures[0]),
    }
