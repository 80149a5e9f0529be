"""One task at several budgets: the network that each gets, its multiply-adds, and milliseconds for an image.

python examples/budget_sweep.py [BUNDLE] [--task birds] [--budgets 6]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: times of one thread compare best
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import statistics
import time

import numpy as np

import eas_sdk
from eas_sdk import Model


def ms_per_image(model: Model, repeats: int = 20) -> float:
    """Median time of one image, in milliseconds."""
    image = np.zeros((1, model.input_size, model.input_size, 3), np.uint8)
    model.predict(image)  # the first call also lays out the memory
    times_ms = []
    for _ in range(repeats):
        began = time.perf_counter()
        model.predict(image)
        times_ms.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description="One task at several budgets, as a table.")
    parser.add_argument("bundle", nargs="?", help="a bundle file (default: the shipped one)")
    parser.add_argument("--task", help="default: the bundle's first")
    parser.add_argument("--budgets", type=int, default=6, help="levels, smallest to largest network")
    options = parser.parse_args()
    if options.budgets < 2:
        parser.error(f"--budgets takes at least 2 levels, the ends of the range; got {options.budgets}")
    try:
        runtime = eas_sdk.load(options.bundle)
        task = options.task or runtime.tasks[0]
        levels = np.linspace(*runtime.budget_range(task), options.budgets).astype(int).tolist()
        models = [runtime.specialize(task, budget) for budget in levels]
    except (eas_sdk.EasError, OSError) as error:
        parser.error(str(error))
    print(f"{'budget':>12} {'MAdds':>12} {'ms/image':>9}  architecture for {task}")
    for budget, model in zip(levels, models, strict=True):
        print(f"{budget:>12,} {model.madds:>12,} {ms_per_image(model):>9.2f}  {model.architecture}")


if __name__ == "__main__":
    main()
