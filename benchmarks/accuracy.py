"""Accuracy of the shipped bundle on the unseen artist, and generated against random architectures of equal MAdds.

    python -m benchmarks.accuracy

For every superclass and seven budgets, from the smallest network to the largest: top-1 within the known superclass, on
fixed views of the test artist's drawings, through the numpy engine. At the five budgets between the ends, where there
is a choice, the same for random architectures that lie within 2% below the generated network's MAdds; each gate of
theirs is on with a probability that fits that cost. Intervals are bootstraps over drawings, paired.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.drawings import accuracy_by_drawing, drawings
from benchmarks.record import record
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import madds_table
from eas_train.progress import progress

LEVELS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Budgets, as fractions of the way from the smallest to the largest network."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="emoji", help="a bundle of the same classes")
    parser.add_argument("--views", type=int, default=8, help="fixed views of each drawing")
    parser.add_argument("--random", type=int, default=20, help="random architectures for each request")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--name", default="accuracy", help="name of the stored result")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    data = drawings(runtime, options.split, options.views)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    with progress("accuracy", len(LEVELS) * len(runtime.tasks)) as update:
        for level, fraction in enumerate(LEVELS):
            generated, baseline, madds, by_task = [], [], [], {}
            for t, task in enumerate(runtime.tasks):
                low, high = runtime.budget_range(task)
                model = runtime.specialize(task, low + fraction * (high - low))
                ours = accuracy_by_drawing(model, data)
                generated.append(ours)
                if 0 < fraction < 1:
                    others = random_architectures(runtime, len(model.labels), model.madds, options.random, rng)
                    theirs = [accuracy_by_drawing(runtime.build(task, other), data) for other in others]
                    baseline.append(np.mean(theirs, 0))
                madds.append(model.madds)
                by_task[task] = {"madds": model.madds, "top1": round(float(ours.mean()), 4)}
                update(level * len(runtime.tasks) + t + 1, task)
            superclass = np.repeat(np.arange(len(generated)), [len(g) for g in generated])
            everything = np.concatenate(generated)
            row: dict[str, Any] = {
                "budget_fraction": fraction,
                "mean_madds": int(np.mean(madds)),
                "top1": rounded(interval(everything, superclass)),
                "by_task": by_task,
            }
            if baseline:
                drawn = np.concatenate(baseline)
                row["random_top1"] = rounded(interval(drawn, superclass))
                row["generated_minus_random"] = rounded(interval(everything - drawn, superclass))
            rows.append(row)
    rising = all(
        a["by_task"][task]["madds"] < b["by_task"][task]["madds"]
        for a, b in itertools.pairwise(rows)
        for task in runtime.tasks
    )
    figures = {
        "split": options.split,
        "views": options.views,
        "random_architectures": options.random,
        "columns": "mean, low and high end of the 95% interval",
        "madds_rise_for_every_superclass": rising,
        "rows": rows,
    }
    record(options.name, figures)


def random_architectures(
    runtime: Runtime, classes: int, madds: int, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """Random members of the bank's space whose MAdds lie in [0.98 madds, madds] (or the nearest below)."""
    space = runtime.bundle.space
    uniform = [rng.random((20_000, 1)), rng.random((20_000, space.random_numbers - 1))]
    choices = space.members(np.concatenate(uniform, 1))
    total = madds_table(space).total(space, choices, classes)
    order = np.argsort(np.where(total <= madds, madds - total, np.inf), kind="stable")
    near = [i for i in order if 0.98 * madds <= total[i] <= madds]
    picked = rng.permutation(near)[:count] if len(near) >= count else order[:count]
    return [space.decode(choices[i]) for i in picked]


def rounded(values: tuple[float, ...]) -> list[float]:
    return [round(v, 4) for v in values]


if __name__ == "__main__":
    main()
