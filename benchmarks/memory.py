"""Peak memory: what is predicted from a network's nodes, and what a process grows by.

    python -m benchmarks.memory
    python -m benchmarks.memory --networks 20 --fit     # also prints the model that fits best

For each engine and space (the paper's with random weights, and the embedded bundle's), random architectures are built
and run once, each in a process of its own that has run a tiny network before, so that libraries are loaded. Growth is
the difference in peak resident memory. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import float16_paper_bundle
from benchmarks.record import record
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import MissingDependency
from eas_sdk.graph.memory import memory_model
from eas_train.progress import progress

ENGINES = ("litert", "onnxruntime", "numpy")

CHILD = """
import os
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import gc, json, random, sys
import numpy as np
import eas_sdk
from eas_sdk.engine import load_engine
from eas_sdk.graph.cost import peak_activation_bytes, total_weight_elements
from eas_sdk.latency.segments import random_weights
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.sample import random_architecture

def status(name):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))

engine, bundle, seed = sys.argv[1:]
space = dataclasses.replace(PAPER, input_sizes=(32,), width_multiplier=0.25)
tiny = random_weights(space.structure(space.smallest, 4))
load_engine(engine).compile(tiny).run(np.zeros((1, 32, 32, 3), np.float32))
runtime = eas_sdk.load(bundle or None)
space = runtime.bundle.space
architecture = random_architecture(space, random.Random(int(seed)))
image = np.zeros((1, 32, 32, 3), np.uint8)
gc.collect()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts again from here
before = status("VmRSS")
model = runtime.build(runtime.tasks[0], architecture, engine=engine)
model.predict(image)
nodes = model.graph.nodes
print(json.dumps({"grown": status("VmHWM") - before, "predicted": model.memory_bytes,
                  "weights": 4 * total_weight_elements(nodes), "activations": peak_activation_bytes(nodes)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=20, help="architectures for each engine and space")
    parser.add_argument("--fit", action="store_true", help="print the model that fits best")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundles = {"paper": str(float16_paper_bundle(Path(folder))), "embedded": ""}
        with progress("processes", len(ENGINES) * len(bundles) * options.networks) as update:
            done = 0
            for engine in ENGINES:
                try:
                    load_engine(engine)
                except MissingDependency:
                    continue
                rows = []
                for space, bundle in bundles.items():
                    found = []
                    for seed in range(options.networks):
                        found.append(_run(engine, bundle, seed))
                        done += 1
                        update(done, f"{engine}, {space}")
                    figures[f"{engine}, {space}"] = summary(found)
                    rows += found
                if options.fit:
                    print(engine, memory_model(engine), "fits best:", fit(rows))
    record("memory", figures)


def summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Growth in MB and the prediction's errors."""
    errors = np.array([row["predicted"] / row["grown"] - 1 for row in rows])
    grown = [row["grown"] / 1e6 for row in rows]
    return {
        "networks": len(rows),
        "grown_mb": [round(min(grown), 2), round(max(grown), 2)],
        "mean_error": round(float(errors.mean()), 4),
        "median_absolute_error": round(float(np.median(np.abs(errors))), 4),
        "greatest_absolute_error": round(float(np.abs(errors).max()), 4),
    }


def fit(rows: list[dict[str, float]]) -> list[float]:
    """Copies of weights and activations and fixed bytes by least squares of relative errors."""
    grown = np.array([row["grown"] for row in rows])
    terms = np.array([[row["weights"], row["activations"], 1] for row in rows]) / grown[:, None]
    solution, *_ = np.linalg.lstsq(terms, np.ones(len(rows)), rcond=None)
    return [round(float(value), 3) for value in solution]


def _run(engine: str, bundle: str, seed: int) -> dict[str, float]:
    command = [sys.executable, "-c", CHILD, engine, bundle, str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    made: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return made


if __name__ == "__main__":
    main()
